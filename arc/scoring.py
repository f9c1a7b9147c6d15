"""Scores: the three conventions in use for ARC, and what chance alone would do to them.

A task can have several test inputs, so "accuracy" means three things:

    tasks    a task counts only if every one of its outputs is right       (the official rule)
    mean     each task counts for the share of its outputs that are right  (most papers)
    outputs  every output counts by itself                                 (Kaggle)

An output is right if one of its first two attempts equals it, cell by cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt

from arc.grid import Grid, same
from arc.task import Task
from hone.errors import BadInput

ATTEMPTS = 2
_Z = 1.959963984540054  # standard deviations that include 95 % of a normal distribution


@dataclass(frozen=True)
class Score:
    """How many tasks and outputs were right, and the three rates."""

    tasks_right: int
    tasks_total: int
    outputs_right: int
    outputs_total: int
    tasks: float
    mean: float
    outputs: float


def right_outputs(task: Task, attempts: Sequence[Sequence[Grid | None]]) -> list[bool]:
    """For each test output, whether one of its first two attempts equals it."""
    if len(attempts) != len(task.test):
        raise BadInput(
            f"task {task.id} has {len(task.test)} test inputs, attempts came for {len(attempts)}"
        )
    for i, pair in enumerate(task.test):
        if pair.output is None:
            raise BadInput(f"task {task.id}: test pair {i} has no output to score against")
    return [
        any(same(attempt, pair.output) for attempt in tries[:ATTEMPTS])
        for pair, tries in zip(task.test, attempts, strict=True)
    ]


def score(rights: Sequence[Sequence[bool]]) -> Score:
    """All three conventions from `right_outputs` of every task."""
    if not all(rights):
        raise BadInput("a task without test outputs cannot be scored")
    tasks_right = sum(all(task) for task in rights)
    outputs_right = sum(sum(task) for task in rights)
    outputs_total = sum(len(task) for task in rights)
    return Score(
        tasks_right,
        len(rights),
        outputs_right,
        outputs_total,
        tasks=_rate(tasks_right, len(rights)),
        mean=_rate(sum(sum(task) / len(task) for task in rights), len(rights)),
        outputs=_rate(outputs_right, outputs_total),
    )


def wilson(solved: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate, which also holds for small counts and for 0 and 100 %."""
    if not 0 <= solved <= total:
        raise BadInput(f"{solved} solved of {total} is no rate")
    if total == 0:
        return 0.0, 1.0
    rate, squared = solved / total, _Z * _Z
    middle = (rate + squared / (2 * total)) / (1 + squared / total)
    spread = rate * (1 - rate) / total + squared / (4 * total * total)
    half = _Z * sqrt(spread) / (1 + squared / total)
    # with none or all solved one bound is exact, but the sums above round
    return (middle - half if solved else 0.0), (middle + half if solved < total else 1.0)


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> float:
    """Two-sided p-value that two systems on the same tasks differ by chance alone (exact test)."""
    if len(a) != len(b):
        raise BadInput(f"{len(a)} results against {len(b)}; both need the same tasks in order")
    only_a = sum(x and not y for x, y in zip(a, b, strict=True))
    only_b = sum(y and not x for x, y in zip(a, b, strict=True))
    discordant = only_a + only_b
    tail = sum(comb(discordant, i) for i in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * tail / (1 << discordant))


def paired_difference(a: Sequence[bool], b: Sequence[bool]) -> tuple[float, float, float]:
    """How much larger a share of the same tasks `b` solves than `a`, and its 95 % interval by
    Agresti and Min, who add half a task to each of the four cases."""
    if len(a) != len(b):
        raise BadInput(f"{len(a)} results against {len(b)}; both need the same tasks in order")
    only_a = sum(x and not y for x, y in zip(a, b, strict=True))
    only_b = sum(y and not x for x, y in zip(a, b, strict=True))
    total = len(a) + 2
    middle = (only_b - only_a) / total
    spread = (only_a + only_b + 1) / total - middle * middle
    half = _Z * sqrt(spread / total)
    return _rate(only_b - only_a, len(a)), max(-1.0, middle - half), min(1.0, middle + half)


def _rate(right: float, total: int) -> float:
    return right / total if total else 0.0
