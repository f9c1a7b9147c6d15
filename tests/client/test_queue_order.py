"""Who enters the queue first, and that the answers do not know."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from test_arc_solver import candidates, open_solver
from tiny_bases import small_task
from tiny_models import random_item

from arc.task import Task, task_from_json
from client.jobs import Job
from client.queue_order import ORDERS, by_family, by_length, by_palette
from models.multilora.bank import SlotSpec


def of_length(*lengths: int, steps: int = 10) -> Job:
    return Job([random_item(n, n) for n in lengths], SlotSpec(), steps)


def test_most_tokens_to_train_on_come_first() -> None:
    jobs = [of_length(9), None, of_length(20, 40), of_length(9, steps=60), of_length(30)]
    assert [i for i, _ in by_length(enumerate(jobs))] == [3, 2, 4, 0, 1]
    assert [i for i, _ in by_length(enumerate(jobs), ahead=2)] == [0, 1, 3, 2, 4]
    assert [i for i, _ in by_length(enumerate([of_length(9)] * 3))] == [0, 1, 2]


def test_tasks_of_the_same_colours_come_together() -> None:
    def shows(*colours: int) -> Task:
        pair = {"input": [list(colours)], "output": [[colours[0]]]}
        return task_from_json({"train": [pair], "test": [{"input": [[colours[0]]]}]}, "t", "t")

    tasks = [shows(2, 3), shows(1, 2, 3), shows(4, 5), shows(3, 2), shows(7)]
    assert by_palette(tasks) == [4, 0, 3, 2, 1]
    assert by_palette(["b", "a"]) == [0, 1]


def test_what_is_expected_of_a_test_does_not_order_it() -> None:
    task = small_task("t", 3)
    other = dataclasses.replace(task, test=small_task("t", 3, tests=1).without_answers().test)
    for tasks in ([task, other], [other, task]):
        assert by_palette(tasks) == [0, 1]


def test_each_is_followed_by_the_likest_that_waits() -> None:
    angles = np.radians([0, 90, 10, 80, 45])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert by_family(vectors) == [0, 2, 4, 3, 1]
    assert by_family(np.ones((3, 2), dtype=np.float32)) == [0, 1, 2]


@pytest.mark.parametrize("order", ORDERS)
def test_no_order_changes_an_answer(canvas_base: Path, order: str) -> None:
    """Nor the order of the answers, with a task among them that has nothing to train on."""
    tasks = [
        small_task("few", 3),
        small_task("lone", 5, demos=1),
        small_task("many", 2, demos=5),
        small_task("more", 1, demos=4),
    ]
    usual = open_solver(canvas_base).solve(tasks, adapt=True)
    solved = open_solver(canvas_base, queue_order=order).solve(tasks, adapt=True)
    assert [s.task.id for s in solved] == ["few", "lone", "many", "more"]
    assert [candidates(s) for s in solved] == [candidates(s) for s in usual]
    seated = sorted(
        (s for s in solved if "seat" in s.trace), key=lambda s: int(s.trace["seat"]["job"])
    )
    expected = {"length": ["many", "more", "few"], "palette": ["few", "more", "many"]}
    if order in expected:
        assert [s.task.id for s in seated] == expected[order]
