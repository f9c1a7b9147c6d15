"""Logic: two drawings beside each other, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np

from arc.generators.drawing import Mask, beside, coloured, noise, panels_of, pick_colours, turned
from arc.generators.family import Rule, family
from arc.grid import Grid


def _two_drawings(rng: Random, meet: Callable[[Mask, Mask], Mask], high: int = 6) -> Rule:
    """Left and right of a line; the output is the size of one, coloured where they `meet`."""
    left, right, line, paint = pick_colours(rng, 4)
    turns = rng.randrange(2)

    def draw() -> Grid:
        height, width = rng.randint(2, high), rng.randint(2, high)
        cells = np.full((height, 2 * width + 1), line, dtype=np.uint8)
        for colour, start in ((left, 0), (right, width + 1)):
            half = cells[:, start : start + width]
            half[:] = 0
            noise(rng, half, [colour], low=0.4, high=0.7)
        return np.rot90(cells, -turns)

    def apply(cells: Grid) -> Grid:
        upright = np.rot90(cells, turns)
        width = upright.shape[1] // 2
        found: Mask = meet(upright[:, :width] > 0, upright[:, width + 1 :] > 0)
        return np.rot90(coloured(found, paint), -turns)

    return Rule(draw, apply)


@family("in_both", concept="logic")
def in_both(rng: Random) -> Rule:
    """The cells that are coloured in both drawings."""
    return _two_drawings(rng, np.logical_and)


@family("in_either", concept="logic")
def in_either(rng: Random) -> Rule:
    """The cells that are coloured in at least one of two drawings."""
    return _two_drawings(rng, np.logical_or)


@family("in_neither", concept="logic")
def in_neither(rng: Random) -> Rule:
    """The cells that are coloured in neither of two drawings."""
    return _two_drawings(rng, lambda one, other: ~(one | other))


@family("overlay", concept="logic")
def overlay(rng: Random) -> Rule:
    """One drawing is laid over the other; which one lies on top is the task's."""
    line, below, above = pick_colours(rng, 3)
    turns = rng.randrange(4)

    def draw() -> Grid:
        shape = rng.randint(2, 6), rng.randint(2, 6)
        drawings = [
            noise(rng, np.zeros(shape, dtype=np.uint8), [colour], low=0.4, high=0.7)
            for colour in (below, above)
        ]
        return np.rot90(beside(drawings, line), -turns)

    def apply(cells: Grid) -> Grid:
        lower, upper = panels_of(cells, line)
        return np.where(upper > 0, upper, lower)

    return Rule(draw, turned(turns, apply))


@family("in_just_one", concept="logic", held_out=True)
def in_just_one(rng: Random) -> Rule:
    """The cells that are coloured in one drawing but not in the other."""
    return _two_drawings(rng, np.logical_xor, high=4)
