"""How many adapters train together, and with how many tokens at once: asked for, fitting, probed.
What comes out is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_arc_solver import QUICK, open_solver
from tiny_bases import small_task

import hone.settings
from arc.grid import spell
from arc.task import Task
from client.arc_solver import ArcSolver
from client.layout import Layout, groups
from client.opening import open_adaptation
from client.settings import Settings
from hone.errors import BadInput
from hone.settings import read_settings
from models.base import load_base
from models.memory.monitor import MemoryMonitor
from models.multilora.probe import KS, Probe

TASKS = [small_task(f"t{c}", c) for c in (1, 2, 3, 4)]
SAME: dict[str, Any] = {"dtype": "fp32", "steps": 6}


@pytest.fixture(autouse=True)
def no_other_malloc(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tests of this process are to be as fast as ever."""
    for name in ("give_back_at_once", "keep_for_the_next_step"):
        monkeypatch.setattr(f"models.memory.keeper.{name}", lambda: None)


@pytest.fixture
def room() -> int:
    """A limit in MB that leaves a little more than what this process holds already."""
    return (MemoryMonitor(torch.device("cpu")).now() >> 20) + 80


def answers(solver: ArcSolver, tasks: list[Task] = TASKS) -> list[Any]:
    return [
        [[spell(grid) for grid, _ in own] for own in solution.attempts]
        for solution in solver.solve(tasks, adapt=True)
    ]


def test_answers_do_not_depend_on_how_they_are_laid_out(canvas_base: Path) -> None:
    free = answers(open_solver(canvas_base, k=4, **SAME))
    for change in ({"k": 1}, {"k": 2, "token_budget": 20}, {"k": "auto"}):
        assert answers(open_solver(canvas_base, **SAME, **change)) == free


def test_a_probe_settles_k_once_and_is_told(
    canvas_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solver = open_solver(canvas_base, k="auto", threads=1, **SAME)
    assert solver.adaptation.k == KS[-1]
    solved = solver.solve(TASKS, adapt=True)
    layout = solver.adaptation.layout
    told = layout.report()
    assert told["k"] == told["probe"]["k"] == layout.k in KS
    assert set(told["probe"]["rates"]) <= {1, 2, 4}  # no more than there are tasks
    assert all(one.trace["layout"]["k"] == layout.k for one in solved)
    answers(solver, TASKS[:2])
    answers(solver, TASKS[:1])
    assert layout.k == told["k"]
    assert capsys.readouterr().err.count("by a probe in tokens a second") == 1


def test_one_query_needs_no_probe(canvas_base: Path) -> None:
    solver = open_solver(canvas_base, k="auto", **SAME)
    answers(solver, TASKS[:1])
    assert "probe" not in solver.adaptation.layout.report()


def test_threads_are_left_alone_where_they_are_given(
    canvas_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def probing(*_: Any, choose_threads: bool, **how: Any) -> Probe:
        asked.append(choose_threads)
        return Probe(1, torch.get_num_threads(), {1: 1.0}, None)

    monkeypatch.setattr("models.multilora.probe.probe", probing)
    threads = torch.get_num_threads()
    for given in (threads, 0):
        answers(open_solver(canvas_base, k="auto", threads=given, **SAME))
    assert asked == [False, True]


def test_a_k_that_memory_does_not_allow_is_refused_and_the_one_it_names_is_not(
    canvas_base: Path, room: int
) -> None:
    how = {"memory_limit_mb": room, **SAME}
    with pytest.raises(
        BadInput, match=f"K 100000 does not fit into --memory_limit_mb {room}"
    ) as no:
        answers(open_solver(canvas_base, k=100_000, **how))
    largest = int(str(no.value).rpartition(" ")[2])
    assert 1 < largest < 100_000
    solver = open_solver(canvas_base, k=largest // 2, **how)
    assert len(answers(solver)) == len(TASKS)
    with pytest.raises(BadInput, match="K 100000000 does not fit into the free memory"):
        answers(open_solver(canvas_base, k=100_000_000, **SAME))


def test_the_k_of_a_preset_is_lowered_with_a_note(
    canvas_base: Path,
    room: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(hone.settings, "PRESETS", tmp_path)
    (tmp_path / "many.yaml").write_text("k: 100000\n")
    flags = {**QUICK, **SAME, "memory_limit_mb": room, "model_path": canvas_base}
    del flags["k"]
    argv = ["--preset", "many", *(f"--{name}={value}" for name, value in flags.items())]
    settings = read_settings(Settings, argv, env_prefix="HONE_X_")
    with open_adaptation(settings, "arc") as adaptation:
        layout, jobs = adaptation.layout, [adaptation._job(_items(adaptation))]
        bank = layout.bank(jobs, queries=100_000)
    assert 1 < layout.k == len(bank.specs) < 100_000
    assert f"K {layout.k} instead of 100000" in capsys.readouterr().err


def _items(adaptation: Any) -> Any:
    from client.arc_items import training_items

    base, settings = adaptation.base, adaptation.settings
    return training_items(TASKS[0], [], base.format, base.context, settings).items


def test_a_limit_below_what_is_there_is_refused_before_the_base_is_loaded(
    canvas_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.base._model", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(BadInput, match="memory_limit_mb 30 is too little"):
        load_base(canvas_base, memory_limit_mb=30)


def test_the_base_answers_within_the_limit_too(canvas_base: Path, room: int) -> None:
    solver = open_solver(canvas_base, adapt=False, memory_limit_mb=room, **SAME)
    layout = solver.adaptation.layout
    assert 0 < layout.bounds.kept < Layout(solver.base, Settings()).bounds.kept
    assert len(solver.solve(TASKS, adapt=False)) == len(TASKS)


def test_groups_have_the_size_of_the_time_they_begin() -> None:
    sizes = iter([3, 1, 2, 2])
    assert list(groups(range(7), lambda: next(sizes))) == [[0, 1, 2], [3], [4, 5], [6]]
    assert list(groups([], lambda: 2)) == []
