"""Hone from Python: what is loaded once, what a task may be, what an answer holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from test_arc_solver import QUICK
from tiny_bases import small_task, write_tasks

from arc.task import task_to_json
from client.answer import Answer, Attempt, said
from client.api import Solver, open_solver
from hone.errors import BadInput, NotThere

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def solver(canvas_base: Path) -> Iterator[Solver]:
    with open_solver("ct3", model_path=canvas_base, **QUICK) as opened:
        yield opened


def test_a_task_is_a_file_an_object_or_a_task(solver: Solver, tmp_path: Path) -> None:
    task = small_task("t", 2)
    file = write_tasks(tmp_path, [task]) / "t.json"
    answers = [solver.solve(one) for one in (task, file, str(file))]
    assert answers[0].attempts == answers[1].attempts == answers[2].attempts
    assert solver.solve(task_to_json(task), ttt=False).id == "task"


def test_an_answer_can_be_written_down(solver: Solver) -> None:
    answer = solver.solve(small_task("t", 3, tests=2))
    assert len(answer.predictions) == 2 and answer.metadata["decision"] == "train"
    assert answer.predictions[0] == answer.attempts[0][0].grid
    told = json.loads(json.dumps(answer.as_json()))
    assert told["predictions"] == answer.predictions and told["confidence"] == answer.confidence
    assert told["attempts"][1][0]["share"] == answer.attempts[1][0].share


def test_many_tasks_are_answered_as_each_alone(solver: Solver) -> None:
    tasks = [small_task(f"t{c}", c) for c in (1, 2, 3)]
    together = solver.solve_all(tasks)
    assert [answer.id for answer in together] == ["t1", "t2", "t3"]
    assert together[1].predictions == solver.solve(tasks[1]).predictions


def test_without_training_the_base_answers(solver: Solver) -> None:
    assert solver.solve(small_task("t", 3), ttt=False).metadata["decision"] == "base"


def answer_of(*shares: list[float]) -> Answer:
    attempts = [[Attempt([[1]], share) for share in own] for own in shares]
    return Answer("t", attempts, None, {"decision": "train"})


def test_it_is_as_sure_as_of_its_least_sure_prediction() -> None:
    assert answer_of([0.75, 0.25], [0.5]).confidence == 0.5
    nothing = answer_of([0.75], [])
    assert nothing.confidence == 0.0 and nothing.predictions == [[[1]], None]
    assert said(answer_of([0.75])) == "t: answer unknown, 75% sure (train)"


def test_other_bases_get_the_preset_of_tasks(text_base: Path) -> None:
    with open_solver(model_path=text_base, num_ttt_samples=0, quantization="none") as opened:
        assert (opened.settings.preset, opened.settings.lora_rank) == ("arc-seed", 64)


def test_what_cannot_be_opened_is_one_line() -> None:
    with pytest.raises(NotThere, match="no model folder nowhere"):
        open_solver(model_path="nowhere")
    with pytest.raises(BadInput, match="unknown setting 'lora_rnk' from the call; did you mean"):
        open_solver(lora_rnk=3)
    with pytest.raises(BadInput, match="lora_rank is 0, at least 1 was expected"):
        open_solver("bundled", lora_rank=0)
    with pytest.raises(BadInput, match="preset is 'bundle'; choose from arc-seed, bundled"):
        open_solver("bundle")


def test_what_is_no_task_is_one_line(solver: Solver, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match='task: a task is an object with "train" and "test"'):
        solver.solve({"train": []})
    with pytest.raises(NotThere, match=r"no file nowhere\.json; check the path"):
        solver.solve("nowhere.json")
