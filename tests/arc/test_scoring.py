"""Scores against values worked out by hand or taken from tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc.grid import grid
from arc.scoring import mcnemar, paired_difference, right_outputs, score, wilson
from arc.task import Pair, Task
from hone.errors import BadInput

A, B = grid([[1]]), grid([[2]])
TASK = Task("abc", (), (Pair(A, A), Pair(A, B)))


def test_two_attempts_count_and_no_more() -> None:
    assert right_outputs(TASK, [[B, A], [B]]) == [True, True]
    assert right_outputs(TASK, [[B, None, A], []]) == [False, False]


def test_attempts_must_fit_the_task() -> None:
    with pytest.raises(BadInput, match="task abc has 2 test inputs, attempts came for 1"):
        right_outputs(TASK, [[A]])
    with pytest.raises(BadInput, match="task abc: test pair 0 has no output"):
        right_outputs(TASK.without_answers(), [[A], [B]])


def test_the_three_conventions() -> None:
    result = score([[True, True], [True, False], [False]])
    assert (result.tasks_right, result.tasks_total) == (1, 3)
    assert (result.outputs_right, result.outputs_total) == (3, 5)
    assert result.tasks == pytest.approx(1 / 3)
    assert result.mean == pytest.approx(0.5)
    assert result.outputs == pytest.approx(3 / 5)


def test_nothing_scored() -> None:
    assert score([]).tasks == score([]).mean == score([]).outputs == 0
    with pytest.raises(BadInput, match="without test outputs"):
        score([[True], []])


@pytest.mark.parametrize(
    ("solved", "total", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_wilson_against_a_table(solved: int, total: int, low: float, high: float) -> None:
    assert wilson(solved, total) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_rate(counts: tuple[int, int]) -> None:
    low, high = wilson(*counts)
    assert 0 <= low <= counts[0] / counts[1] <= high <= 1


def test_wilson_refuses_what_is_no_rate() -> None:
    for counts in ((3, 2), (-1, 2)):
        with pytest.raises(BadInput, match="is no rate"):
            wilson(*counts)


def results(only_a: int, only_b: int, both: int = 3) -> tuple[list[bool], list[bool]]:
    a = [True] * only_a + [False] * only_b + [True] * both
    b = [False] * only_a + [True] * only_b + [True] * both
    return a, b


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [(0, 0, 1.0), (1, 1, 1.0), (5, 0, 0.0625), (1, 9, 22 / 1024), (3, 3, 1.0)],
)
def test_mcnemar_by_hand(only_a: int, only_b: int, p: float) -> None:
    a, b = results(only_a, only_b)
    assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(p)


def test_mcnemar_with_many_and_with_unequal() -> None:
    assert 0 < mcnemar(*results(400, 450)) < 1
    with pytest.raises(BadInput, match="1 results against 2"):
        mcnemar([True], [True, False])


def test_the_paired_difference_by_hand() -> None:
    a, b = [True, True, False, False], [True, False, True, True]
    assert paired_difference(a, b) == pytest.approx((0.25, -0.4729, 0.8062), abs=1e-4)
    assert paired_difference(b, a) == pytest.approx((-0.25, -0.8062, 0.4729), abs=1e-4)
    assert paired_difference([], [])[0] == 0
    with pytest.raises(BadInput, match="both need the same tasks"):
        paired_difference([True], [])


@given(st.lists(st.tuples(st.booleans(), st.booleans())))
def test_the_interval_of_a_difference_is_one(pairs: list[tuple[bool, bool]]) -> None:
    middle, low, high = paired_difference([a for a, _ in pairs], [b for _, b in pairs])
    assert -1 <= low <= high <= 1 and -1 <= middle <= 1
