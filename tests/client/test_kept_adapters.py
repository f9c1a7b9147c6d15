"""Adapters found again: by the same task trained the same way, and by nothing else."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from test_arc_solver import QUICK, attempts
from tiny_bases import small_task

from arc.task import Task
from client import kept_adapters
from client.adapters.entry import Key
from client.arc_solver import ArcSolver, Solution
from client.kept_adapters import KeptAdapters
from client.opening import open_adaptation
from client.settings import Settings

torch.set_num_threads(1)
TASKS = [small_task(f"t{c}", c) for c in (3, 4)]


def solve(
    base: Path, folder: Path, tasks: Sequence[Task] = TASKS, **changes: Any
) -> list[Solution]:
    settings = Settings(model_path=str(base), **(QUICK | {"steps": 4} | changes))
    adaptation = open_adaptation(settings, "arc")
    kept = KeptAdapters(folder, lambda: adaptation.key, base_path=adaptation.base.path)
    return ArcSolver(adaptation, kept).solve(tasks, adapt=True)


def decisions(solutions: list[Solution]) -> list[str]:
    return [solution.trace["decision"] for solution in solutions]


def test_other_views_find_the_adapters_and_other_training_does_not(
    canvas_base: Path, tmp_path: Path
) -> None:
    first = solve(canvas_base, tmp_path)
    again = solve(canvas_base, tmp_path)
    more = solve(canvas_base, tmp_path, views=5, voting="hybrid")
    other = solve(canvas_base, tmp_path, steps=5)
    assert decisions(first) == decisions(other) == ["train"] * 2
    assert decisions(again) == decisions(more) == ["trained earlier"] * 2
    for one, two, three in zip(first, again, more, strict=True):
        assert attempts(one) == attempts(two) and len(three.trace["views"][0]) == 5
        for name in ("losses", "items", "seat", "retrieved"):
            assert one.trace[name] == two.trace[name] == three.trace[name]
        assert one.trace["seconds"]["train"] == two.trace["seconds"]["train"]
    assert len(list(tmp_path.iterdir())) == 4


def test_an_answer_that_is_known_by_now_is_no_other_task(tmp_path: Path) -> None:
    kept, task = KeptAdapters(tmp_path, lambda: Key("e", "b", "c"), base_path="b"), small_task("t")
    assert kept._place(task) == kept._place(task.without_answers())
    assert kept._place(task) != kept._place(small_task("u")) != kept._place(small_task("t", 2))


def test_a_shared_adapter_is_kept_as_nobodys_own(canvas_base: Path, tmp_path: Path) -> None:
    lone = small_task("lone", 5, demos=1)
    cohort = {"mode": "cohort", "cohort_items": 4, "cohort_dir": tmp_path / "shared"}
    for _ in range(2):
        solved = solve(canvas_base, tmp_path / "kept", [*TASKS, lone], **cohort)
        assert decisions(solved)[-1] == "nothing to train on"
    assert decisions(solved)[:2] == ["trained earlier"] * 2
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_a_damaged_adapter_is_trained_again(
    canvas_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solve(canvas_base, tmp_path)
    damaged = sorted(tmp_path.iterdir())[0] / "adapter_model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert sorted(decisions(solve(canvas_base, tmp_path))) == ["train", "trained earlier"]
    assert "is cut off or not safetensors" in capsys.readouterr().err
    assert decisions(solve(canvas_base, tmp_path)) == ["trained earlier"] * 2


def test_a_full_disk_costs_no_answer_and_is_said_once(
    canvas_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kept_adapters, "write_adapter", full)
    solved = solve(canvas_base, tmp_path)
    assert all(solution.attempts for solution in solved)
    said = [line for line in capsys.readouterr().err.splitlines() if "not kept" in line]
    assert len(said) == 1 and said[0].endswith(f"({tmp_path}: No space left on device)")
