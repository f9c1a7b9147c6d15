"""A whole tiny run: what it leaves behind, what it reuses, and what stops it."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_bases import small_task, write_tasks

from arc.fingerprints import fingerprints
from arc.readers import read_tasks
from client import arc_run
from eval.arc_eval import drawn_tasks, main
from eval.running_score import RunningScore
from hone.errors import BadInput, run_command
from models.training.record import training_data

torch.set_num_threads(1)
QUICK = {
    **{"k": 2, "steps": 20, "batch_size": 4, "learning_rate": 1e-2, "lora_rank": 8},
    **{"num_pseudo": 8, "num_ttt_samples": 0, "views": 2},
}
SUMMARY = {
    *("tasks", "unknown", "leaked", "solved", "solved_base", "task_score", "task_score_base"),
    *("mean_output_score", "output_score", "ci95", "ci95_base", "p_mcnemar", "seconds"),
    *("seconds_per_task", "tasks_per_hour", "peak_memory_mb", "wall_seconds"),
}
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_tasks(tmp_path / "data", [small_task(f"t{c}", c) for c in range(1, 6)])


@pytest.fixture
def flags(data: Path, canvas_base: Path, tmp_path: Path) -> dict[str, Any]:
    places = {"data_dir": data, "model_path": canvas_base, "trained_dir": tmp_path / "trained"}
    return QUICK | places | {"out_dir": tmp_path / "out"}


@pytest.fixture
def run(flags: dict[str, Any]) -> Run:
    """The command with its flags, some of them changed; what it says it found."""

    def run(code: int = 0, **changes: Any) -> dict[str, Any]:
        own = flags | changes
        assert main([f"--{name}={value}" for name, value in own.items()]) == code
        found: dict[str, Any] = json.loads((Path(own["out_dir"]) / "results.json").read_text())
        return found

    return run


def decisions(results: dict[str, Any]) -> set[str]:
    return {row["trace"]["decision"] for row in results["tasks"]}


def test_a_part_is_evaluated_first_and_the_rest_later(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    part = run(limit=2)
    stamps = {file: file.stat().st_mtime_ns for file in (out / "tasks").iterdir()}
    capsys.readouterr()
    whole = run()
    assert whole["tasks"][:2] == part["tasks"]
    assert len(stamps) == 2
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in stamps.items())
    assert len({row["id"] for row in whole["tasks"]}) == 5 == whole["summary"]["tasks"]
    assert [row["base"]["trace"]["decision"] for row in whole["tasks"]] == ["base"] * 5
    said, summary = capsys.readouterr().out.splitlines(), whole["summary"]
    assert said[0].startswith(f"base  {summary['solved_base']:4} of 5 ")
    assert said[1].startswith(f"TTT   {summary['solved']:4} of 5 ")
    assert said[-1] == f"report: {out / 'report.html'}"
    assert summary["solved"] == sum(row["solved"] for row in whole["tasks"]) > 0
    assert summary.keys() == SUMMARY and summary["peak_memory_mb"] > 100
    assert summary["leaked"] == "unknown" == whole["leakage"]["base"]["pairs"]
    report = (out / "report.html").read_text()
    assert f"{summary['solved']} of 5 tasks solved" in report and '"id":"t3"' in report


def test_a_run_with_other_views_trains_nothing(run: Run, tmp_path: Path) -> None:
    first = run(limit=2)
    more = run(limit=2, views=3, out_dir=tmp_path / "more")
    alone = run(limit=2, views=3, out_dir=tmp_path / "alone", keep_trained="false")
    assert [decisions(one) for one in (first, more, alone)] == [
        {"train"},
        {"trained earlier"},
        {"train"},
    ]
    answers = [[row["attempts"] for row in one["tasks"]] for one in (more, alone)]
    assert answers[0] == answers[1]
    assert len(list((tmp_path / "trained").iterdir())) == 2


def test_odd_tasks_are_named_and_the_others_run(
    run: Run, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(data)
    write_tasks(data, [small_task("two", 3, tests=2), small_task("hidden", 4).without_answers()])
    (data / "empty.json").touch()
    found = run(code=3, steps=2)
    said = capsys.readouterr().out
    assert f"left out: {data / 'empty.json'} is not JSON" in said and len(found["left_out"]) == 1
    assert "answered but not scored, because outputs are unknown: 1 task" in said
    rows = {row["id"]: row for row in found["tasks"]}
    assert rows["hidden"]["solved"] is None and rows["two"]["solved"] in (True, False)
    assert (found["summary"]["tasks"], found["summary"]["unknown"]) == (2, 1)
    handed = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert {name: len(own) for name, own in handed.items()} == {"two": 2, "hidden": 1}
    assert all(one.keys() == {"attempt_1", "attempt_2"} for own in handed.values() for one in own)
    assert (tmp_path / "out" / "hidden.txt").read_text().endswith("TRUE OUTPUT:\nunknown\n")
    assert (tmp_path / "out" / "two.txt").read_text().count("TRUE OUTPUT:\n3\n") == 2


def test_tasks_that_the_base_was_trained_on_are_not_scored(
    run: Run, data: Path, canvas_base: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(canvas_base, tmp_path / "base")
    (seen,) = (task for task in read_tasks(data) if task.id == "t2")
    pairs = fingerprints(seen.train[2:])  # all of one colour; up to colours one of t1's own
    np.save(base / "trained_pairs.npy", pairs)
    (base / "training_data.json").write_text(json.dumps(training_data([], pairs)))
    found = run(model_path=base, steps=1, views=1)
    leaked = {row["id"]: row["leaked"] for row in found["tasks"] if row["leaked"]}
    assert leaked == {"t1": {"base": ["train 1"]}, "t2": {"base": ["train 2"]}}
    assert set(found["summary"]["leaked"]) == leaked.keys()
    assert found["leakage"]["base"]["pairs"] == 1


def test_one_name_twice_is_refused_before_anything_is_made(
    run: Run, data: Path, tmp_path: Path
) -> None:
    task = (data / "t1.json").read_text()
    (data / "more_challenges.json").write_text(f'{{"t1": {task}}}')
    with pytest.raises(BadInput, match="two tasks are called 't1'; rename one"):
        run()
    assert not (tmp_path / "out").exists()


def left_with(
    flags: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> tuple[object, list[str]]:
    """Exit code and stderr of the command as a user runs it."""
    argv = [f"--{name}={value}" for name, value in flags.items()]
    with pytest.raises(SystemExit) as left:
        run_command(lambda: main(argv))
    said = capsys.readouterr().err.splitlines()
    return left.value.code, [line for line in said if line and not line.startswith("note: ")]


def test_ctrl_c_says_how_to_go_on(
    run: Run,
    flags: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(score: RunningScore, row: Any) -> None:
        score.done += 1
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RunningScore, "add", interrupted)
        code, said = left_with(flags | {"steps": 2}, capsys)
    out = tmp_path / "out"
    assert (code, said[-1]) == (
        130,
        f"interrupted: 1 of 5 tasks are done in {out}; the same command goes on from there",
    )
    assert not (out / "results.json").exists()
    (kept,) = (out / "tasks").iterdir()
    stamp = kept.stat().st_mtime_ns
    assert run(steps=2)["summary"]["tasks"] == 5 and kept.stat().st_mtime_ns == stamp


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(
    run: Run,
    flags: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write, written = arc_run.write_json, []

    def filling(path: Path, value: Any) -> None:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.append(path)
        write(path, value)

    with monkeypatch.context() as patched:
        patched.setattr(arc_run, "write_json", filling)
        code, said = left_with(flags | {"steps": 2}, capsys)
    assert code == 2 and said[-1].startswith(f"error: cannot write to {tmp_path / 'out' / 'tasks'}")
    assert {file.name for file in (tmp_path / "out" / "tasks").iterdir()} == {
        path.name for path in written
    }
    found = run(steps=2)
    assert found["summary"]["tasks"] == 5 and "trained earlier" in decisions(found)


def test_the_seed_draws_the_tasks(data: Path) -> None:
    def names(**drawing: int) -> list[str]:
        return [task.id for task in drawn_tasks(data, **drawing)]

    assert sorted(names()) == [f"t{c}" for c in range(1, 6)]
    assert names(limit=3) == names()[:3] and names(limit=9) == names()
    assert len({tuple(names(seed=seed)) for seed in range(4)}) > 1


def test_without_tasks_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no --data_dir; name a folder of ARC tasks"):
        main([])
    (tmp_path / "empty.json").touch()
    with pytest.raises(BadInput, match="holds no task that can be read"):
        drawn_tasks(tmp_path, broken=lambda line: None)
