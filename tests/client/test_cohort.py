"""Cohort mode: one adapter of all demos beneath each task's own; a kill costs nothing of it."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from test_arc_solver import QUICK, attempts, candidates, open_solver
from tiny_bases import small_task, write_tasks

from arc.grid import grid
from arc.task import Pair, Task
from client import shared_training, ttt_multi_lora
from client.arc_run import run_tasks
from client.arc_solver import ArcSolver
from client.cohort import stand_on_shared
from client.opening import open_adaptation
from client.settings import Settings
from hone.errors import BadInput, Damaged
from models.multilora.peft_files import WEIGHTS, read_adapter

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parent.parent.parent
COHORT: dict[str, Any] = {
    **{"mode": "cohort", "cohort_items": 4, "cohort_epochs": 3, "cohort_batch_size": 4},
    **{"steps": 4, "dtype": "fp32"},
}


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return [small_task("t3", 3), small_task("t4", 4, demos=4)]


@pytest.fixture
def cohort(canvas_base: Path, tmp_path: Path) -> ArcSolver:
    return open_solver(canvas_base, cohort_dir=tmp_path / "shared", **COHORT)


def shared_of(folder: Path) -> bytes:
    (only,) = folder.glob("*/adapter")
    return (only / WEIGHTS).read_bytes()


def test_each_adapter_holds_the_shared_one_and_its_own(
    cohort: ArcSolver, canvas_base: Path, tasks: list[Task], tmp_path: Path
) -> None:
    solutions = cohort.solve(tasks, adapt=True)
    shared = cohort.adaptation.shared
    assert shared is not None and shared.files.rank == QUICK["lora_rank"]
    losses = shared.files.extra["losses"]
    assert len(losses) == 3 * 8 // 4 and losses[-1] < losses[0]
    for solution in solutions:
        assert solution.trace["decision"] == "train"
        assert solution.trace["stands_on"] == shared.fingerprint
        assert solution.trace["seconds"]["shared"] == shared.seconds_a_task > 0
    for _, adapted in cohort.adapted(tasks):
        adapter = adapted.adapter
        assert adapter is not None and adapter.rank == 2 * QUICK["lora_rank"]
        for name, (a, _) in shared.files.tensors.items():
            assert torch.equal(adapter.tensors[name][0][: shared.files.rank], a)
    strict = open_solver(canvas_base, **(COHORT | {"mode": "strict"})).solve(tasks, adapt=True)
    assert [s.trace["losses"] for s in solutions] != [s.trace["losses"] for s in strict]
    assert not any("stands_on" in s.trace for s in strict)


def test_it_is_trained_once_and_for_these_demos_alone(
    cohort: ArcSolver, tasks: list[Task], tmp_path: Path
) -> None:
    first = cohort.solve(tasks, adapt=True)
    stamp = {path: path.stat().st_mtime_ns for path in (tmp_path / "shared").glob("*/adapter/*")}
    again = ArcSolver(dataclasses.replace(cohort.adaptation)).solve(tasks, adapt=True)
    assert {path: path.stat().st_mtime_ns for path in stamp} == stamp
    assert [attempts(s) for s in again] == [attempts(s) for s in first]
    answered = [
        dataclasses.replace(t, test=tuple(Pair(p.input, grid([[9]])) for p in t.test))
        for t in tasks
    ]
    stand_on_shared(cohort.adaptation, answered)  # answers are not looked at
    assert cohort.adaptation.stands_on == first[0].trace["stands_on"]
    stand_on_shared(cohort.adaptation, tasks[:1])
    assert cohort.adaptation.stands_on != first[0].trace["stands_on"]
    assert len(list((tmp_path / "shared").iterdir())) == 2


def test_demos_that_tell_an_answer_are_not_learned_from(
    cohort: ArcSolver, tasks: list[Task]
) -> None:
    telling = dataclasses.replace(
        small_task("tells", 6),
        train=(*small_task("x", 6).train, Pair(tasks[0].test[0].input, grid([[3]]))),
    )
    stand_on_shared(cohort.adaptation, [*tasks, telling])
    assert cohort.adaptation.shared is not None
    told = cohort.adaptation.shared.files.extra
    assert (told["tasks"], told["withheld"], told["items"]) == (3, 1, 8)


def test_a_task_without_items_of_its_own_has_the_shared_adapter(
    cohort: ArcSolver, tasks: list[Task], tmp_path: Path
) -> None:
    lone = small_task("lone", 5, demos=1)
    solution = cohort.solve([*tasks, lone], adapt=True)[-1]
    assert solution.trace["decision"] == "nothing to train on"
    (plain,) = cohort.solve([lone], adapt=False)
    assert solution.trace["views"] != plain.trace["views"]
    before = set((tmp_path / "shared").iterdir())
    with pytest.raises(
        BadInput, match="none of the 1 tasks has demos to train a shared adapter on"
    ):
        cohort.solve([lone], adapt=True)
    assert set((tmp_path / "shared").iterdir()) == before


def test_kept_adapters_know_what_they_stand_on(
    canvas_base: Path, tasks: list[Task], tmp_path: Path
) -> None:
    keeping = {
        "local_adapter_managing": True,
        "local_adapter_manager_dir": tmp_path / "kept",
        "local_adapter_manager_threshold": 0.999,
        "local_adapter_manager_size": 9,
        "cohort_dir": tmp_path / "shared",
    }
    solver = open_solver(canvas_base, **(COHORT | keeping))
    first, second = solver.solve(tasks, adapt=True), solver.solve(tasks, adapt=True)
    assert [s.trace["decision"] for s in (*first, *second)] == ["train"] * 2 + ["hit"] * 2
    assert [candidates(s) for s in first] == [candidates(s) for s in second]
    kept = read_adapter(tmp_path / "kept" / "entries" / first[0].trace["adapter"])
    assert kept.extra["stands_on"] == solver.adaptation.stands_on
    assert kept.rank == 2 * QUICK["lora_rank"]  # whole: it answers without the shared one's folder
    fewer = solver.solve(tasks[:1], adapt=True)  # another cohort, another shared adapter
    strict = open_solver(canvas_base, **(COHORT | keeping | {"mode": "strict"}))
    assert [s.trace["decision"] for s in (*fewer, *strict.solve(tasks, adapt=True))] == [
        "train"
    ] * 3


def test_rows_are_those_of_their_cohort(
    canvas_base: Path, tasks: list[Task], tmp_path: Path
) -> None:
    def files(many: list[Task], **how: Any) -> int:
        changes = COHORT | {"cohort_dir": tmp_path / "shared"} | how
        rows = run_tasks(open_solver(canvas_base, **changes), many, tmp_path, with_base=False)
        list(rows)
        return len(list((tmp_path / "tasks").iterdir()))

    assert files(tasks) == 2
    assert files(tasks, cohort_dir=tmp_path / "elsewhere") == 2
    assert files(tasks[:1]) == 3
    assert files(tasks, mode="strict") == 5
    assert files(tasks, mode="strict", cohort_items=5) == 5


def test_text_has_no_cohort(text_base: Path) -> None:
    with pytest.raises(BadInput, match="--mode cohort trains on the demos of ARC tasks"):
        open_adaptation(Settings(model_path=str(text_base), mode="cohort"), "text")


def test_a_nan_is_said_with_the_rate(canvas_base: Path, tasks: list[Task], tmp_path: Path) -> None:
    how = COHORT | {"cohort_learning_rate": 1e30, "cohort_dir": tmp_path / "shared"}
    with pytest.raises(
        BadInput, match=r"gave a NaN at step \d of 6; give a --cohort_learning_rate"
    ):
        open_solver(canvas_base, **how).solve(tasks, adapt=True)
    assert not list((tmp_path / "shared").glob("*/adapter"))


def killed_at(step: int, solver: ArcSolver, tasks: list[Task]) -> None:
    """As a kill between two steps leaves the folder."""

    class Killed(Exception):
        pass

    def progress(phase: str, done: int, total: int) -> None:
        if done == step:
            raise Killed

    solver.adaptation.progress = progress
    with pytest.raises(Killed):
        stand_on_shared(solver.adaptation, tasks)
    solver.adaptation.progress = lambda phase, done, total: None


def test_a_training_that_was_cut_off_ends_bit_for_bit_as_one_that_was_not(
    canvas_base: Path, tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_training, "EVERY", 0.0)
    whole = open_solver(canvas_base, cohort_dir=tmp_path / "whole", **COHORT)
    stand_on_shared(whole.adaptation, tasks)
    cut = open_solver(canvas_base, cohort_dir=tmp_path / "cut", **COHORT)
    for step in (2, 3, 5):
        killed_at(step, cut, tasks)
    (folder,) = (tmp_path / "cut").iterdir()
    assert [path.name for path in folder.iterdir()] == ["checkpoint.safetensors"]
    (folder / ".adapter.0123abcd").mkdir()  # half-written, as a kill leaves it
    stand_on_shared(cut.adaptation, tasks)
    assert [path.name for path in folder.iterdir()] == ["adapter"]
    assert shared_of(tmp_path / "cut") == shared_of(tmp_path / "whole")
    one, other = (solver.adaptation.shared for solver in (cut, whole))
    assert one is not None and other is not None
    assert one.files.extra["losses"] == other.files.extra["losses"]


def test_a_spoilt_checkpoint_is_named(
    canvas_base: Path, tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_training, "EVERY", 0.0)
    solver = open_solver(canvas_base, cohort_dir=tmp_path / "shared", **COHORT)
    killed_at(2, solver, tasks)
    (file,) = (tmp_path / "shared").glob("*/checkpoint.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(Damaged, match=r"checkpoint.safetensors cannot be read .* start anew"):
        stand_on_shared(solver.adaptation, tasks)


def test_a_killed_run_of_the_command_goes_on(
    canvas_base: Path, tasks: list[Task], tmp_path: Path
) -> None:
    """Killed while the shared adapter is trained, or while tasks stand on it."""
    flags = QUICK | COHORT | {"threads": 1, "views": 1, "model_path": canvas_base}
    flags |= {"data_dir": write_tasks(tmp_path / "data", tasks), "cohort_epochs": 40}

    def words(name: str) -> list[str]:
        places = {"out_dir": tmp_path / name, "cohort_dir": tmp_path / f"shared-{name}"}
        return [f"--{flag}={value}" for flag, value in (flags | places).items()]

    command = [sys.executable, str(ROOT / "client" / "ttt_multi_lora.py"), *words("cut")]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("shared-cut/*")) and running.poll() is None:
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    for name in ("cut", "whole"):
        assert ttt_multi_lora.main(words(name)) == 0
    assert shared_of(tmp_path / "shared-cut") == shared_of(tmp_path / "shared-whole")
    one, other = (
        json.loads((tmp_path / name / "results.json").read_text()) for name in ("cut", "whole")
    )
    assert [r["attempts"] for r in one["tasks"]] == [r["attempts"] for r in other["tasks"]]
