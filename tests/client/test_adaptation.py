"""Adapters that are kept are found again; what went wrong in training is answered by the base."""

from __future__ import annotations

import dataclasses
import errno
import json
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from test_arc_solver import QUICK, candidates, open_solver
from tiny_bases import serving, small_task, write_tasks

from arc.task import Task
from client import adaptation, cohort
from client.arc_solver import ArcSolver
from client.http_retriever import HttpRetriever
from client.seating import Seating
from client.settings import PseudoTaskSettings, RetrievalSettings, TrainingSettings
from client.training_queue import empty_bank
from client.ttt import replay
from models.multilora.peft_files import read_adapter

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def keeping(tmp_path: Path) -> dict[str, Any]:
    """Settings that keep adapters, and tell even like tasks apart."""
    return {
        "local_adapter_managing": True,
        "local_adapter_manager_dir": tmp_path / "adapters",
        "local_adapter_manager_threshold": 0.999,
    }


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return [small_task("t3", 3), small_task("t4", 4, demos=4)]


def decisions(solver: ArcSolver, tasks: list[Task]) -> list[str]:
    return [solution.trace["decision"] for solution in solver.solve(tasks, adapt=True)]


def test_a_second_call_finds_the_adapters_and_answers_alike(
    canvas_base: Path, keeping: dict[str, Any], tasks: list[Task]
) -> None:
    solver = open_solver(canvas_base, **keeping)
    first, second = solver.solve(tasks, adapt=True), solver.solve(tasks[::-1], adapt=True)[::-1]
    assert [s.trace["decision"] for s in first] == ["train"] * 2
    assert [s.trace["decision"] for s in second] == ["hit"] * 2
    assert [s.trace["adapter"] for s in first] == [s.trace["adapter"] for s in second]
    assert [candidates(s) for s in first] == [candidates(s) for s in second]
    assert all(s.trace["similarity"] == pytest.approx(1) for s in second)
    assert "train" not in second[0].trace["seconds"]
    kept = read_adapter(
        keeping["local_adapter_manager_dir"] / "entries" / first[0].trace["adapter"]
    )
    assert kept.extra["loss"] == first[0].trace["losses"][-1] and kept.rank == 8
    assert kept.extra["query"] == tasks[0].id


def test_a_recoloured_task_is_answered_without_training(
    canvas_base: Path, keeping: dict[str, Any], tasks: list[Task]
) -> None:
    solver = open_solver(canvas_base, **keeping)
    solver.solve(tasks[:1], adapt=True)
    assert decisions(solver, [small_task("other", 5)]) == ["hit"]
    assert decisions(solver, [small_task("unlike", 5, demos=4)]) == ["train"]


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 2e-2},
        {"seed": 1},
        {"num_pseudo": 9},
        {"target_modules": ("q_proj",)},
        {"max_len": 300},
        {"dtype": "bf16"},
        {"schedule": "cosine"},
        {"use_rslora": True},
        {"stop_when_solved": 2},
    ],
    ids=str,
)
def test_other_settings_find_nothing(
    canvas_base: Path, keeping: dict[str, Any], tasks: list[Task], change: dict[str, Any]
) -> None:
    usual = {"steps": 1, "dtype": "fp32"} | keeping
    assert decisions(open_solver(canvas_base, **usual), tasks[:1]) == ["train"]
    other = open_solver(canvas_base, **(usual | change))
    assert decisions(other, tasks[:1]) == ["train"]
    same = open_solver(canvas_base, views=5, attempts=1, k=1, **usual)
    assert decisions(same, tasks[:1]) == ["hit"]


def test_every_setting_shapes_an_adapter_or_is_known_not_to() -> None:
    """A new one that is in neither list would let adapters be found that were trained otherwise."""
    asked = (TrainingSettings, RetrievalSettings, PseudoTaskSettings)
    names = {field.name for part in asked for field in dataclasses.fields(part)}
    memory = {"k", "token_budget", "feature_cache_mb", "queue_order"}
    told_by_content = {"server_url", "server_knowledge_base", "knowledge_base_path", "embedder"}
    of_arc = {"num_pseudo", "retrieved_weight"}
    assert names - memory - told_by_content | of_arc == set(adaptation._SHAPES_AN_ADAPTER)
    of_retrieved = {field.name for field in dataclasses.fields(RetrievalSettings)}
    of_retrieved |= {"num_ttt_samples", "weighted_sample_training"}
    ending_early = {"max_training_time", "plateau_patience", "plateau_delta", "stop_when_solved"}
    said_by_the_mode = {"steps", "shuffle_ttt_samples"}
    assert names - memory - of_retrieved - ending_early - said_by_the_mode | {"num_pseudo"} == set(
        cohort._SHAPING
    )


@pytest.mark.parametrize(
    ("steps", "change"),
    [(4, {"learning_rate": 1e30}), (1, {"learning_rate": 1e38, "weight_decay": 1e3})],
    ids=["on its way", "by its last step"],
)
def test_a_training_that_met_a_nan_is_answered_by_the_base(
    canvas_base: Path,
    keeping: dict[str, Any],
    tasks: list[Task],
    steps: int,
    change: dict[str, float],
) -> None:
    solver = open_solver(canvas_base, steps=steps, **change, **keeping)
    plain = solver.solve(tasks, adapt=False)
    for _ in range(2):  # the second time too: nothing was kept
        solutions = solver.solve(tasks, adapt=True)
        assert [s.trace["decision"] for s in solutions] == ["quarantined"] * 2
        assert all(0 < s.trace["quarantined_at"] <= steps for s in solutions)
        assert [candidates(s) for s in solutions] == [candidates(s) for s in plain]
        json.dumps([s.trace for s in solutions], allow_nan=False)
    assert not any((keeping["local_adapter_manager_dir"] / "entries").iterdir())


def test_a_quarantined_neighbour_is_not_felt(
    canvas_base: Path, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    solver = open_solver(canvas_base)
    alone = solver.solve(tasks[:1], adapt=True)
    made = solver.adaptation._job

    def spoilt(items: list[Any]) -> Any:
        job = made(items)
        spec = dataclasses.replace(job.spec, learning_rate=1e30)
        return dataclasses.replace(job, spec=spec) if len(items[0].encoded) > 45 else job

    monkeypatch.setattr(solver.adaptation, "_job", spoilt)
    together = solver.solve(tasks, adapt=True)
    assert [s.trace["decision"] for s in together] == ["train", "quarantined"]
    assert candidates(together[0]) == candidates(alone[0])
    assert candidates(together[1]) == candidates(solver.solve(tasks[1:], adapt=False)[0])


def test_a_run_is_had_again_from_its_traces(canvas_base: Path) -> None:
    """Queries of unequal length and number of steps, one that ends early, one without items."""
    sizes = {"num_pseudo": 6, "steps": 0, "num_epochs": 3, "batch_size": 1, "stop_when_solved": 2}
    solver = open_solver(canvas_base, queue_order="palette", **sizes)
    tasks = [small_task(f"t{n}", n, demos=n) for n in (4, 1, 2, 3, 5)]
    make = partial(solver._items, tasks)
    adapted = solver.adaptation.adapt(tasks, make)
    traces = [json.loads(json.dumps(one.trace)) for one in adapted]
    seating = Seating.from_traces(traces)
    seats = [trace["seat"] for trace in traces if "seat" in trace]
    assert (seating.slots, len(seating.sittings)) == (2, 4)
    assert {seat["left"] for seat in seats} <= {"steps", "solved"}
    assert sum(sum(seat["step_tokens"]) for seat in seats) == sum(
        trace["trained_tokens"] for trace in traces if "seat" in trace
    )
    numbers = {trace["seat"]["job"]: i for i, trace in enumerate(traces) if "seat" in trace}
    jobs = [solver.adaptation._job(make(numbers[n], []).items) for n in sorted(numbers)]
    bank = empty_bank(solver.base.model, seating.slots, seating.width)
    for done in replay(bank, jobs, seating):
        first = adapted[numbers[done.training.job]].adapter
        assert done.training.losses == traces[numbers[done.training.job]]["losses"]
        assert first is not None and done.adapter is not None
        for name, pair in first.tensors.items():
            assert all(map(torch.equal, pair, done.adapter.tensors[name]))


def test_the_next_querys_items_are_made_while_others_train(
    canvas_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a thread of their own, and no further ahead than there are slots."""
    solver = open_solver(canvas_base, steps=3)
    tasks = [small_task(f"t{n}", n) for n in range(1, 8)]
    made: list[tuple[int, bool]] = []

    def items(i: int, hits: list[Any]) -> Any:
        made.append((i, threading.current_thread() is threading.main_thread()))
        return solver._items(tasks, i, hits)

    ahead = [len(made) - done for done, _ in enumerate(solver.adaptation.adapt_each(tasks, items))]
    assert made == [(i, False) for i in range(7)]
    assert max(ahead) <= 2 + 2 + 1  # in slots, waiting, and in the making


def test_those_who_leave_together_are_handed_out_before_others_train(canvas_base: Path) -> None:
    """So a kill costs no more than what was in training."""
    solver = open_solver(canvas_base, steps=3)
    tasks = [small_task(f"t{n}", n) for n in range(1, 6)]
    taken = [0]
    solver.adaptation.progress = lambda phase, done, total: taken.append(done)
    adapted = solver.adaptation.adapt_each(tasks, lambda i, hits: solver._items(tasks, i, hits))
    assert solver.adaptation.k == 2
    assert [taken[-1] for _ in adapted] == [6, 6, 12, 12, 15]


def test_a_store_that_cannot_be_written_costs_no_answer_and_is_said_once(
    canvas_base: Path,
    keeping: dict[str, Any],
    tasks: list[Task],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    solver = open_solver(canvas_base, steps=2, **keeping)

    def full(*_: Any, **__: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "adapters")

    monkeypatch.setattr(solver.adaptation.store, "put", full)
    solved = solver.solve(tasks, adapt=True)
    assert [s.trace["decision"] for s in solved] == ["train"] * len(tasks)
    assert all(s.attempts for s in solved)
    (said,) = (line for line in capsys.readouterr().err.splitlines() if "not kept" in line)
    assert said.endswith(f"({keeping['local_adapter_manager_dir']}: No space left on device)")


def test_samples_come_alike_from_a_server_and_from_a_folder(
    canvas_base: Path, task_kb: Path, keeping: dict[str, Any], tasks: list[Task]
) -> None:
    """And the knowledge base, not the way to it, decides whether an adapter serves again."""
    more = {"num_ttt_samples": 2, "only_faiss": True, **keeping}
    local = open_solver(canvas_base, knowledge_base_path=task_kb, **more)
    with serving(task_kb) as url:
        remote = open_solver(canvas_base, server_url=url, **more)
        first, second = local.solve(tasks, adapt=True), remote.solve(tasks, adapt=True)
        assert [s.trace["decision"] for s in (*first, *second)] == ["train"] * 2 + ["hit"] * 2
        assert [candidates(s) for s in first] == [candidates(s) for s in second]
        retriever = remote.adaptation.retriever
        assert isinstance(retriever, HttpRetriever)
        again = dataclasses.replace(remote.adaptation, store=None)
        third = ArcSolver(again).solve(tasks, adapt=True)
        assert [s.trace["retrieved"] for s in first] == [s.trace["retrieved"] for s in third]
        assert [s.trace["losses"] for s in first] == [s.trace["losses"] for s in third]
        remote.adaptation.__exit__()


def test_the_retriever_is_asked_who_it_is_once_a_call(
    canvas_base: Path, task_kb: Path, keeping: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"k": 5, "steps": 1, "num_ttt_samples": 2, "knowledge_base_path": task_kb}
    solver = open_solver(canvas_base, **more, **keeping)
    retriever = solver.adaptation.retriever
    assert retriever is not None
    asked, info = [], retriever.info
    monkeypatch.setattr(retriever, "info", lambda: asked.append(1) or info())
    solver.solve([small_task(f"t{c}", c) for c in range(1, 6)], adapt=True)
    assert len(asked) == 1


def test_the_store_outlives_its_process(
    canvas_base: Path, tasks: list[Task], tmp_path: Path
) -> None:
    folder = write_tasks(tmp_path / "tasks", tasks)
    flags = [f"--{name}={value}" for name, value in QUICK.items()]
    command = [
        *(sys.executable, str(ROOT / "client" / "client.py"), "--json", "--ttt"),
        *("--task", str(folder), "--model_path", str(canvas_base), "--local_adapter_managing"),
        *("--local_adapter_manager_threshold", "0.999", "--threads", "1", *flags),
    ]
    runs = [
        subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    first, second = (json.loads(run.stdout) for run in runs)
    assert [row["trace"]["decision"] for row in first] == ["train"] * 2
    assert [row["trace"]["decision"] for row in second] == ["hit"] * 2
    assert [row["attempts"] for row in first] == [row["attempts"] for row in second]
    traces = list((tmp_path / "runs" / "client").iterdir())
    assert len(traces) == 2
    assert sorted(line.split(": ")[0] for line in runs[1].stderr.splitlines()) == ["trace"]
    told = [json.loads(trace.read_text()) for trace in traces]
    assert all(one["settings"]["steps"] == QUICK["steps"] for one in told)
    assert [one["answers"] for one in told] in ([first, second], [second, first])
