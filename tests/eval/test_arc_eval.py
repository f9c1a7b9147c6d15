"""Scores with and without training: the numbers on rows made by hand, and a whole tiny run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_bases import small_task, write_tasks

from arc.scoring import mcnemar, wilson
from eval.arc_eval import drawn_tasks, main, summarize
from hone.errors import BadInput

torch.set_num_threads(1)
QUICK = {
    **{"k": 2, "steps": 20, "batch_size": 4, "learning_rate": 1e-2, "lora_rank": 8},
    **{"num_pseudo": 8, "num_ttt_samples": 0, "views": 2},
}


def row(right: list[bool] | None, base: list[bool] | None, seconds: float = 1.0) -> dict[str, Any]:
    def told(rights: list[bool] | None) -> dict[str, Any]:
        return {"solved": None if rights is None else all(rights), "right": rights}

    trace = {"seconds": {"train": seconds, "generate": 0.5}}
    return {**told(right), "trace": trace, "base": told(base)}


def test_the_summary_counts_tasks_outputs_and_seconds() -> None:
    rows = [
        row([True], [True]),
        row([True, True], [False, True]),
        row([True, False], [False, False]),
        row([False], [False], 3.0),
        row([True], [False]),
        row(None, None),
    ]
    found = summarize(rows)
    assert (found["tasks"], found["unknown"], found["solved"], found["solved_base"]) == (6, 1, 3, 1)
    assert (found["task_score"], found["task_score_base"]) == (0.6, 0.2)
    assert found["mean_output_score"] == pytest.approx((1 + 1 + 0.5 + 0 + 1) / 5)
    assert found["output_score"] == pytest.approx(5 / 7, abs=1e-4)
    assert found["ci95"] == [round(end, 4) for end in wilson(3, 5)]
    assert found["ci95_base"] == [round(end, 4) for end in wilson(1, 5)]
    assert found["p_mcnemar"] == mcnemar([True, True, False], [False, False, False]) == 0.5
    assert (found["seconds"], found["seconds_per_task"]) == (11.0, 1.83)


def test_nothing_known_is_not_a_division_by_zero() -> None:
    found = summarize([row(None, None)])
    assert (found["unknown"], found["solved"], found["task_score"]) == (1, 0, 0.0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_tasks(tmp_path / "data", [small_task(f"t{c}", c) for c in range(1, 6)])


def run(data: Path, base: Path, out: Path, *argv: object) -> dict[str, Any]:
    places = {"data_dir": data, "model_path": base, "out_dir": out}
    flags = [f"--{name}={value}" for name, value in (QUICK | places).items()]
    assert main([*flags, *map(str, argv)]) == 0
    results: dict[str, Any] = json.loads((out / "results.json").read_text())
    return results


def test_a_part_is_evaluated_first_and_the_rest_later(
    data: Path, canvas_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    part = run(data, canvas_base, out, "--limit", 2)
    stamps = {file: file.stat().st_mtime_ns for file in (out / "tasks").iterdir()}
    capsys.readouterr()
    whole = run(data, canvas_base, out)
    assert whole["tasks"][:2] == part["tasks"]
    assert len(stamps) == 2
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in stamps.items())
    assert len({row["id"] for row in whole["tasks"]}) == 5 == whole["summary"]["tasks"]
    assert [row["base"]["trace"]["decision"] for row in whole["tasks"]] == ["base"] * 5
    said = capsys.readouterr().out.splitlines()
    summary = whole["summary"]
    assert said[0].startswith(f"base  {summary['solved_base']:4} of 5 ")
    assert said[1].startswith(f"TTT   {summary['solved']:4} of 5 ")
    assert said[2].startswith("McNemar p = ")
    assert summary["solved"] == sum(row["solved"] for row in whole["tasks"]) > 0
    assert summary["wall_seconds"] > 0 and whole["settings"]["steps"] == 20


def test_the_seed_draws_the_tasks(data: Path) -> None:
    def names(**drawing: int) -> list[str]:
        return [task.id for task in drawn_tasks(data, **drawing)]

    assert sorted(names()) == [f"t{c}" for c in range(1, 6)]
    assert names(limit=3) == names()[:3] and names(limit=9) == names()
    assert len({tuple(names(seed=seed)) for seed in range(4)}) > 1


def test_without_tasks_it_says_so() -> None:
    with pytest.raises(BadInput, match="no --data_dir; name a folder of ARC tasks"):
        main([])
