"""The way of an ARC query: groups, odd tasks, and attempts that no neighbour changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_bases import small_task, write_canvas_base

from arc.candidates import hear
from arc.grid import spell
from arc.readers import read_tasks
from arc.task import Task, task_from_json
from arc.voting import vote
from client import question
from client.arc_solver import ArcSolver, Solution
from client.opening import open_adaptation
from client.question import question_of
from client.settings import Settings

torch.set_num_threads(1)
QUICK = {
    **{"k": 2, "steps": 24, "batch_size": 4, "learning_rate": 1e-2, "lora_rank": 8},
    **{"num_pseudo": 8, "num_ttt_samples": 0, "views": 3, "shuffle_ttt_samples": True},
}


def open_solver(base: Path, *, adapt: bool = True, **changes: Any) -> ArcSolver:
    settings = Settings(model_path=str(base), **(QUICK | changes))
    return ArcSolver(open_adaptation(settings, "arc", adapt=adapt))


@pytest.fixture(scope="module")
def solver(canvas_base: Path) -> ArcSolver:
    return open_solver(canvas_base)


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return [small_task(f"t{c}", c, tests=1 + c % 2) for c in (3, 4, 5)]


@pytest.fixture(scope="module")
def solved(solver: ArcSolver, tasks: list[Task]) -> list[Solution]:
    return solver.solve(tasks, adapt=True)


def attempts(solution: Solution) -> list[list[tuple[str, float]]]:
    return [[(spell(cells), share) for cells, share in own] for own in solution.attempts]


def candidates(solution: Solution) -> list[list[str | None]]:
    return [[view["grid"] for view in own] for own in solution.trace["views"]]


def huge_task() -> Task:
    cells = [[1] * 20] * 20
    pair = {"input": cells, "output": cells}
    return task_from_json({"train": [pair, pair], "test": [pair]}, "huge", "huge")


def test_tasks_are_answered_k_at_a_time(solved: list[Solution], tasks: list[Task]) -> None:
    assert [s.task.id for s in solved] == ["t3", "t4", "t5"]
    seats = [s.trace["seat"] for s in solved]
    assert [(s["slots"], s["slot"], s["entered_at"], s["left_at"], s["left"]) for s in seats] == [
        (2, 0, 0, 24, "steps"),
        (2, 1, 0, 24, "steps"),
        (2, 0, 24, 48, "steps"),
    ]
    assert [seat["peers"] for seat in seats] == [[1], [0], []]
    assert [len(s.attempts) for s in solved] == [2, 1, 2]
    assert all(len(own) <= 2 for s in solved for own in s.attempts)
    for solution in solved:
        assert solution.trace["decision"] == "train" and len(solution.trace["losses"]) == 24
        assert set(solution.trace["seconds"]) == {"embed", "retrieve", "train", "generate"}
        assert solution.trace["losses"][-1] < solution.trace["losses"][0]


def test_a_tiny_base_learns_to_write_grids(solved: list[Solution]) -> None:
    """Without which the comparisons below would compare nothing with nothing."""
    assert sum(cell is not None for s in solved for own in candidates(s) for cell in own) > 5


def test_the_same_seed_gives_the_same_answer_whatever_the_group(
    solver: ArcSolver, solved: list[Solution], tasks: list[Task]
) -> None:
    again = solver.solve(tasks[::-1], adapt=True)[::-1]
    alone = [solver.solve([task], adapt=True)[0] for task in tasks]
    for one, two, three in zip(solved, again, alone, strict=True):
        assert attempts(one) == attempts(two) == attempts(three)
        assert candidates(one) == candidates(two) == candidates(three)


def test_another_seed_trains_and_looks_otherwise(
    canvas_base: Path, solved: list[Solution], tasks: list[Task]
) -> None:
    (other,) = open_solver(canvas_base, seed=1).solve(tasks[:1], adapt=True)
    assert other.trace["losses"] != solved[0].trace["losses"]
    looks = [[view["view"] for view in s.trace["views"][0]] for s in (other, solved[0])]
    assert looks[0][0] == looks[1][0] == "identity" and looks[0] != looks[1]


def test_without_adapting_the_base_answers_as_it_is(
    canvas_base: Path, solver: ArcSolver, solved: list[Solution], tasks: list[Task]
) -> None:
    before = {name: value.clone() for name, value in solver.base.model.state_dict().items()}
    plain = solver.solve(tasks, adapt=False)
    solver.solve(tasks, adapt=True)
    after = solver.base.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert [s.trace["decision"] for s in plain] == ["base"] * 3
    fresh = open_solver(canvas_base, adapt=False).solve(tasks, adapt=False)
    assert [candidates(s) for s in plain] == [candidates(s) for s in fresh]
    assert [candidates(s) for s in plain] != [candidates(s) for s in solved]


def test_a_task_with_one_demo_is_answered_by_the_base(
    solver: ArcSolver, solved: list[Solution], tasks: list[Task]
) -> None:
    lone = small_task("lone", 5, demos=1)
    first, second = solver.solve([tasks[0], lone], adapt=True)
    assert second.trace["decision"] == "nothing to train on" and second.trace["items"] == 0
    assert candidates(second) == candidates(solver.solve([lone], adapt=False)[0])
    assert candidates(first) == candidates(solved[0])
    assert solver.solve([lone, lone], adapt=True)[1].right is False


def test_answers_that_are_not_known_are_none_of_its_business(
    solver: ArcSolver, solved: list[Solution], tasks: list[Task]
) -> None:
    (unknown,) = solver.solve([tasks[0].without_answers()], adapt=True)
    assert unknown.right is None
    assert candidates(unknown) == candidates(solved[0])


def test_a_task_too_long_for_the_context_has_no_attempts(
    solver: ArcSolver, solved: list[Solution], tasks: list[Task]
) -> None:
    large, small = solver.solve([huge_task(), tasks[0]], adapt=True)
    assert large.attempts == [[]] and large.right is False
    assert large.trace["decision"] == "nothing to train on"
    assert (large.trace["items_too_long"], large.trace["views_too_long"]) == (8, [3])
    assert candidates(small) == candidates(solved[0])
    (alone,) = solver.solve([huge_task()], adapt=False)
    assert alone.attempts == [[]]


def test_a_neighbour_with_longer_answers_gives_no_more_room(
    solver: ArcSolver, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"t3": 2, "t5": 40}  # a grid of one cell takes three tokens
    monkeypatch.setattr(question, "longest_answer", lambda task, form: limits[task.id])
    short, long = solver.solve([tasks[0], tasks[2]], adapt=True)
    assert candidates(short) == [[None] * 3] * 2 and None not in candidates(long)[0]


def test_an_answer_stays_within_the_context(solver: ArcSolver, tasks: list[Task]) -> None:
    length = len(solver.base.format.prompt(tasks[0]))
    near = question_of(tasks[0], 0, 0, solver.base.format, length + 2, solver.settings)
    assert [view.room for view in near.views] == [2] * 3


def test_retrieved_tasks_are_trained_on(
    canvas_base: Path, task_kb: Path, tasks: list[Task]
) -> None:
    solver = open_solver(
        canvas_base, num_ttt_samples=3, knowledge_base_path=task_kb, only_faiss=True, steps=2
    )
    (solution,) = solver.solve([tasks[0]], adapt=True)
    assert len(solution.trace["retrieved"]) == 3 and solution.trace["items"] == 11
    assert {hit["source"] for hit in solution.trace["retrieved"]} == {"known"}
    scores = [hit["score"] for hit in solution.trace["retrieved"]]
    assert scores == sorted(scores, reverse=True)
    lone = small_task("lone", 3, demos=1)
    (solution,) = solver.solve([lone], adapt=True)
    assert solution.trace["decision"] == "train" and solution.trace["items"] == 3


def test_two_real_tasks(canvas_base: Path, arc_data: Path) -> None:
    tasks = sorted(
        (task for task in read_tasks(arc_data / "training" / "arc1") if len(task.train) > 2),
        key=lambda task: sum(p.input.size for p in (*task.train, *task.test)),
    )[:2]
    solved = open_solver(canvas_base, steps=3).solve(tasks, adapt=True)
    assert [solution.trace["decision"] for solution in solved] == ["train", "train"]
    assert all(len(solution.trace["views"][0]) == 3 for solution in solved)


def test_a_rank_above_what_the_layers_hold_is_clamped_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(write_canvas_base(tmp_path / "base"))
    for rank, said in ((2, False), (5000, True)):
        open_adaptation(Settings(model_path=folder, lora_rank=rank, num_ttt_samples=0), "arc")
        assert ("note: --lora_rank 5000 is too large" in capsys.readouterr().err) == said


@pytest.mark.parametrize("voting", ["hierarchical", "hybrid", "experts", "panel"])
def test_the_chosen_vote_on_what_the_trace_tells_gives_the_attempts(
    canvas_base: Path, tasks: list[Task], voting: str
) -> None:
    (solution,) = open_solver(canvas_base, voting=voting).solve(tasks[:1], adapt=True)
    for own, attempted in zip(solution.trace["views"], attempts(solution), strict=True):
        told = hear(json.loads(json.dumps(own)))
        assert all(one.log_probability is not None and one.log_probability <= 0 for one in told)
        again = vote(told, voting=voting)
        assert attempted == [(spell(cells), share) for cells, share in again] != []


def test_the_whole_recipe_is_trained_on(canvas_base: Path, tasks: list[Task]) -> None:
    solver = open_solver(canvas_base, augmentations=("mit",), leave_out=2, steps=2)
    (solution,) = solver.solve(tasks[:1], adapt=True)
    assert (solution.trace["decision"], solution.trace["items"]) == ("train", 8)
