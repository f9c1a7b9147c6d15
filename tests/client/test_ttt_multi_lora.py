"""Tasks on disk: what a kill leaves, what is reused, what the files say."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_arc_solver import QUICK
from tiny_bases import small_task, write_tasks, write_text_base

from arc.task import Task, task_to_json
from client.arc_solver import ArcSolver
from client.ttt_multi_lora import MultiLoraSettings, main, predict
from hone.errors import BadInput

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = [f"t{c}" for c in range(1, 6)]
Main = Callable[..., int]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    tasks = [small_task(f"t{c}", c, tests=1 + c % 2) for c in range(1, 6)]
    unknown = dataclasses.replace(tasks[3], test=tasks[3].without_answers().test)
    return write_tasks(tmp_path / "data", [*tasks[:3], unknown, tasks[4]])


@pytest.fixture
def settings(data: Path, canvas_base: Path, tmp_path: Path) -> MultiLoraSettings:
    more = {"data_dir": data, "out_dir": tmp_path / "out", "model_path": str(canvas_base)}
    return MultiLoraSettings(**(QUICK | more | {"steps": 4, "k": 2}))


def flags(settings: MultiLoraSettings) -> list[str]:
    of_a_preset = ("search_threshold", "constrain", "voting")
    names = (*QUICK, *of_a_preset, "data_dir", "out_dir", "model_path")
    return [f"--{name}={getattr(settings, name)}" for name in names]


def finished(settings: MultiLoraSettings) -> dict[str, int]:
    return {f.name: f.stat().st_mtime_ns for f in (settings.out_dir / "tasks").glob("*.json")}


def untimed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what depends on who else was still to be trained."""
    machine = {"peak_memory_mb": None}
    return [
        {**row, **machine, "trace": {**row["trace"], "seconds": None, "seat": None}} for row in rows
    ]


def test_every_task_gets_a_file_in_the_seeds_form(
    settings: MultiLoraSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(flags(settings)) == 0
    said = capsys.readouterr()
    results = json.loads((settings.out_dir / "results.json").read_text())
    rows = results["tasks"]
    solved = sum(bool(row["solved"]) for row in rows)
    assert said.out == f"5 tasks answered in {settings.out_dir}, {solved} of 4 solved\n"
    assert [row["id"] for row in rows] == NAMES and results["settings"]["k"] == 2
    assert {f.name for f in settings.out_dir.glob("*.txt")} == {f"{name}.txt" for name in NAMES}
    two = (settings.out_dir / "t1.txt").read_text()
    assert two.count("MODEL OUTPUT:") == two.count("TRUE OUTPUT:\n1\n") == 2
    assert two.startswith("TEST 0\nMODEL OUTPUT:\n") and "\nTEST 1\nMODEL OUTPUT:\n" in two
    one = (settings.out_dir / "t2.txt").read_text()
    assert one.startswith("MODEL OUTPUT:\n") and one.endswith("\n\nTRUE OUTPUT:\n2\n")
    assert (settings.out_dir / "t4.txt").read_text().endswith("TRUE OUTPUT:\nunknown\n")
    assert [row["solved"] is None for row in rows] == [False, False, False, True, False]
    assert [row["trace"]["seat"]["entered_at"] for row in rows] == [0, 0, 4, 4, 8]


def test_what_the_model_wrote_is_in_the_file(settings: MultiLoraSettings) -> None:
    rows = predict(dataclasses.replace(settings, steps=24))
    wrote = [own[0]["grid"] for row in rows for own in row["attempts"] if own]
    assert wrote
    for row in rows:
        text = (settings.out_dir / f"{row['id']}.txt").read_text()
        parts = [part.split("\n\nTRUE")[0] for part in text.split("MODEL OUTPUT:\n")[1:]]
        spelled = [
            own[0]["grid"].replace("/", "\n") if own else "no grid" for own in row["attempts"]
        ]
        assert [part.replace(" ", "") for part in parts] == [s.replace(" ", "") for s in spelled]


def test_a_kill_costs_no_finished_task(settings: MultiLoraSettings, tmp_path: Path) -> None:
    settings = dataclasses.replace(settings, k=1, steps=60)
    command = [sys.executable, str(ROOT / "client" / "ttt_multi_lora.py"), *flags(settings)]
    running = subprocess.Popen([*command, "--threads", "1"], stderr=subprocess.DEVNULL)
    try:
        while len(finished(settings)) < 2 and running.poll() is None:
            time.sleep(0.002)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    done = finished(settings)
    assert 2 <= len(done) < 5 and not (settings.out_dir / "results.json").exists()
    rows = predict(settings)
    assert {name: stamp for name, stamp in finished(settings).items() if name in done} == done
    assert [row["id"] for row in rows] == NAMES and len(finished(settings)) == 5
    elsewhere = dataclasses.replace(settings, out_dir=tmp_path / "whole")
    assert untimed(rows) == untimed(predict(elsewhere))
    assert finished(settings).keys() == finished(elsewhere).keys()


def test_ctrl_c_says_what_stays(
    settings: MultiLoraSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ArcSolver, "solve_groups", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"stays in .*out; the same command"):
        predict(settings)


@pytest.mark.parametrize(
    "change", [{"steps": 5}, {"seed": 1}, {"views": 2}, {"attempts": 1}, {"max_len": 300}], ids=str
)
def test_other_settings_do_not_take_its_files(
    settings: MultiLoraSettings, change: dict[str, Any]
) -> None:
    predict(settings)
    first = finished(settings)
    predict(dataclasses.replace(settings, **change))
    both = finished(settings)
    assert len(both) == 10 and {name: both[name] for name in first} == first


def test_what_does_not_shape_the_answers_changes_no_file(
    settings: MultiLoraSettings, tmp_path: Path
) -> None:
    predict(settings)
    first = finished(settings)
    moved = settings.data_dir.rename(tmp_path / "moved")  # type: ignore[union-attr]
    preset = {"preset": "bundled", "local_adapter_manager_size": 64}
    predict(dataclasses.replace(settings, threads=1, data_dir=moved, **preset))
    assert finished(settings) == first


def test_a_changed_task_is_answered_anew(settings: MultiLoraSettings, data: Path) -> None:
    predict(settings)
    first = finished(settings)
    changed = small_task("t5", 6)
    (data / "t5.json").write_text(json.dumps(task_to_json(changed)))
    predict(settings)
    assert len(finished(settings)) == 6 and finished(settings).items() > first.items()


def challenges(tasks: list[Task], file: Path) -> Path:
    file.write_text(json.dumps({task.id: task_to_json(task) for task in tasks}))
    return file


@pytest.mark.parametrize("name", ["../t1", "a/b", "..", "", "a\0b"])
def test_a_task_writes_nowhere_but_into_the_folder(
    settings: MultiLoraSettings, tmp_path: Path, name: str
) -> None:
    file = challenges([small_task(name)], tmp_path / "odd.json")
    if name in ("..", ""):
        predict(dataclasses.replace(settings, data_dir=file, steps=1))
        assert (settings.out_dir / f"{name}.txt").is_file()
    else:
        with pytest.raises(BadInput, match="cannot be a file's name; rename the task"):
            predict(dataclasses.replace(settings, data_dir=file))
        assert not settings.out_dir.exists()


def test_two_tasks_of_one_name_are_refused(settings: MultiLoraSettings, data: Path) -> None:
    challenges([small_task("t1")], data / "more.json")
    with pytest.raises(BadInput, match="two tasks are called 't1'; rename one"):
        predict(settings)
    assert not settings.out_dir.exists()


def test_the_seeds_script_runs_on_an_ordinary_language_model(data: Path, tmp_path: Path) -> None:
    """Digits, 4-bit weights, the rank clamped to what the layers hold."""
    base = write_text_base(tmp_path / "words", context=512)
    places = {"MODEL_DIR": base, "DATA_DIR": data, "OUT_DIR": tmp_path / "out"}
    sizes = {"STEPS": 2, "NUM_PSEUDO": 3, "PYTHON": sys.executable}
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "run_qwen_multi_lora.sh"), "--threads", "1"],
        env={**os.environ, **{name: str(value) for name, value in (places | sizes).items()}},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    settings = results["settings"]
    assert (settings["quantization"], settings["preset"], settings["k"]) == ("nf4", "arc-seed", 2)
    assert [row["trace"]["decision"] for row in results["tasks"]] == ["train"] * 5
    assert all(row["trace"]["items"] == 3 for row in results["tasks"])
    assert len(list((tmp_path / "out").glob("*.txt"))) == 5
