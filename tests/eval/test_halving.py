"""Who is tried, on what, and how many stay."""

from __future__ import annotations

import dataclasses

import pytest
from tiny_bases import small_task

from arc.grid import grid
from arc.task import Pair, Task
from client.settings import Settings
from eval.halving import Rung, candidates, epochs_of, questions_of, rungs

GIVEN = Settings(learning_rate=1e-3, lora_rank=8, num_pseudo=40, num_epochs=1, batch_size=4)


@pytest.mark.parametrize(
    ("tried", "questions", "found"),
    [
        (27, 200, [(27, 8), (9, 24), (3, 72), (1, 200)]),
        (24, 72, [(24, 8), (8, 24), (2, 72)]),
        (2, 5, [(2, 5)]),
        (1, 100, [(1, 8)]),
        (4, 20, [(4, 8), (1, 20)]),
    ],
)
def test_one_in_three_stays_for_three_times_the_questions(
    tried: int, questions: int, found: list[tuple[int, int]]
) -> None:
    assert rungs(tried, questions, first=8, keep=3) == [Rung(*rung) for rung in found]


def test_the_settings_as_given_come_first_and_once() -> None:
    tried = candidates(GIVEN, [1e-3, 3e-3], [8], [40], [1, 2])
    assert [(one.learning_rate, one.num_epochs) for one in tried] == [
        *((1e-3, 1), (1e-3, 2), (3e-3, 1), (3e-3, 2))
    ]
    counted = dataclasses.replace(GIVEN, steps=10, num_epochs=7)  # ten steps of four are one epoch
    tried = candidates(counted, [1e-3], [8], [40], [1, 2])
    assert [(one.steps, one.num_epochs) for one in tried] == [(10, 7), (0, 2)]


def test_some_candidates_are_drawn_by_the_seed() -> None:
    def drawn(seed: int, most: int) -> list[Settings]:
        given = dataclasses.replace(GIVEN, seed=seed)
        return candidates(given, [1e-3, 2e-3, 3e-3], [4, 8], [20, 40], [1, 2], most=most)

    assert len(drawn(0, 0)) == 24 and len(drawn(0, 100)) == 24
    assert len(drawn(0, 5)) == 5 and drawn(0, 5) == drawn(0, 5)
    assert drawn(0, 5)[0].learning_rate == GIVEN.learning_rate
    assert len({str(drawn(seed, 5)[1:]) for seed in range(4)}) > 1


def test_epochs_are_those_of_steps_where_steps_are_counted() -> None:
    assert epochs_of(GIVEN) == 1
    assert epochs_of(dataclasses.replace(GIVEN, steps=5)) == 0.5


def test_questions_are_demos_of_tasks_in_turn() -> None:
    tasks = [small_task("a", 1, demos=3), small_task("b", 2, demos=2), small_task("c", 3, demos=4)]
    asked = questions_of(tasks)
    assert [one.id for one in asked] == [
        *("a.loo0", "c.loo0", "a.loo1", "c.loo1", "a.loo2", "c.loo2", "c.loo3")
    ]
    assert all(one.test[0].output is not None and len(one.train) >= 2 for one in asked)


def test_no_question_knows_a_test_pair() -> None:
    task = small_task("a", 1)
    other = Task(task.id, task.train, (Pair(grid([[9, 9]]), grid([[9]])),))
    assert questions_of([task]) == questions_of([other])
