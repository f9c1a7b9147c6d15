"""Infers the shape of an answer, where the demos leave no doubt about it.

    inferred_shape(task)       # Inferred(shape=(9, 9), rule="times"), or None

Four rules are tried for the height and for the width: `same` as the input, `times` a ratio, `plus`
a number, or `constant`. A rule may fit all demos by chance. So a side is certain only if all rules
that fit agree about the test input, or if `same` fits. It is not enough that `constant` alone fits:
the demos may have equal sizes by chance (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from arc.grid import MAX_SIDE
from arc.task import Task

Sides = Sequence[tuple[int, int]]  # for every demo, one side of its input and of its output


@dataclass(frozen=True)
class Inferred:
    shape: tuple[int, int]
    rule: str  # of the height, and of the width if it is another


def inferred_shape(task: Task) -> Inferred | None:
    """The shape of the first test input's output, if it is certain."""
    shapes = [(p.input.shape, p.output.shape) for p in task.train if p.output is not None]
    asked = task.test[0].input.shape
    height, width = (
        _certain([(before[axis], after[axis]) for before, after in shapes], asked[axis])
        for axis in (0, 1)
    )
    if height is None or width is None:
        return None
    rules = dict.fromkeys((height[0], width[0]))
    return Inferred((height[1], width[1]), " and ".join(rules))


def _same(demos: Sides, asked: int) -> int | None:
    return asked if all(before == after for before, after in demos) else None


def _times(demos: Sides, asked: int) -> int | None:
    (before, after), *others = demos
    if any(b * after != a * before for b, a in others) or asked * after % before:
        return None
    return asked * after // before


def _plus(demos: Sides, asked: int) -> int | None:
    more = {after - before for before, after in demos}
    return asked + more.pop() if len(more) == 1 else None


def _constant(demos: Sides, asked: int) -> int | None:
    found = {after for _, after in demos}
    return found.pop() if len(found) == 1 else None


_RULES: dict[str, Callable[[Sides, int], int | None]] = {
    "same": _same,
    "times": _times,
    "plus": _plus,
    "constant": _constant,
}


def _certain(demos: Sides, asked: int) -> tuple[str, int] | None:
    """The rule and the side that it gives; None where the side is not certain."""
    said = {name: rule(demos, asked) for name, rule in _RULES.items()} if demos else {}
    fitting = {name: side for name, side in said.items() if side is not None}
    alike = len(set(fitting.values())) == 1 and set(fitting) != {"constant"}
    if "same" not in fitting and not alike:
        return None
    name, side = next(iter(fitting.items()))
    return (name, side) if 1 <= side <= MAX_SIDE else None
