"""Shapes of answers are inferred where the demos leave no doubt, and are right there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from arc_strategies import tasks
from hypothesis import given
from hypothesis import strategies as st

from arc.augment import symmetry
from arc.grid import frozen
from arc.readers import read_tasks
from arc.shapes import Inferred, inferred_shape
from arc.steps import SYMMETRIES
from arc.task import Pair, Task

Shapes = list[tuple[tuple[int, int], tuple[int, int]]]


def task_of(demos: Shapes, asked: tuple[int, int]) -> Task:
    pairs = [Pair(frozen(np.zeros(a)), frozen(np.zeros(b))) for a, b in demos]
    return Task("abc", tuple(pairs), (Pair(frozen(np.zeros(asked))),))


@pytest.mark.parametrize(
    ("demos", "asked", "expected"),
    [
        ([((3, 3), (3, 3)), ((4, 5), (4, 5))], (7, 2), Inferred((7, 2), "same")),
        ([((3, 3), (3, 3)), ((3, 3), (3, 3))], (5, 5), Inferred((5, 5), "same")),
        ([((3, 3), (9, 6)), ((2, 4), (6, 8))], (3, 2), Inferred((9, 4), "times")),
        ([((6, 4), (3, 4)), ((8, 4), (4, 4))], (10, 4), Inferred((5, 4), "times and same")),
        ([((3, 3), (1, 1)), ((5, 4), (1, 1))], (9, 9), None),
        ([((3, 3), (1, 1)), ((3, 3), (1, 1))], (3, 3), Inferred((1, 1), "times")),
        ([((5, 6), (3, 4)), ((8, 9), (6, 7))], (4, 4), Inferred((2, 2), "plus")),
        ([((5, 6), (3, 4)), ((8, 9), (2, 7))], (4, 4), None),
        ([((3, 3), (6, 6)), ((3, 3), (6, 6))], (3, 3), Inferred((6, 6), "times")),
        ([((3, 3), (6, 6)), ((3, 3), (6, 6))], (4, 4), None),
        ([((20, 3), (40, 3)), ((10, 3), (20, 3))], (16, 3), None),
        ([((6, 6), (3, 3)), ((4, 4), (2, 2))], (5, 5), None),
    ],
)
def test_what_is_certain(demos: Shapes, asked: tuple[int, int], expected: Inferred | None) -> None:
    assert inferred_shape(task_of(demos, asked)) == expected


def test_no_demos_say_nothing() -> None:
    assert inferred_shape(task_of([], (3, 3))) is None


@given(tasks(), st.sampled_from(SYMMETRIES))
def test_a_turned_task_has_its_shape_turned(task: Task, name: str) -> None:
    """So that it may be inferred once for all views."""
    turn = symmetry(name)
    plain, turned = inferred_shape(task), inferred_shape(turn.apply(task))
    assert (plain is None) == (turned is None)
    assert plain is None or turned is None or turn.shape(plain.shape) == turned.shape


def test_real_shapes_are_inferred_rightly(arc_data: Path) -> None:
    said, right = 0, 0
    for task in read_tasks(arc_data / "training" / "arc1"):
        for i, pair in enumerate(task.test):
            inferred = inferred_shape(task.with_test(i))
            said += inferred is not None
            right += inferred is not None and inferred.shape == pair.output.shape  # type: ignore[union-attr]
    assert said > 300 and right / said >= 0.99
