"""Copy: shapes that come again, where marks ask for them or in a row."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.combine import facing
from arc.generators.drawing import (
    Mask,
    bounds,
    empty,
    motif,
    moved,
    pick_colour,
    pick_colours,
    spots,
)
from arc.generators.family import Rule, family
from arc.grid import Grid


def _stamped(cells: Grid, places: Mask, pattern: Grid) -> Grid:
    """A pattern of three by three, laid with its middle on every place."""
    result = cells.copy()
    for row, column in np.argwhere(places):
        around = result[row - 1 : row + 2, column - 1 : column + 2]
        around[pattern > 0] = pattern[pattern > 0]
    return result


@family("copy_to_marks", concept="copy")
def copy_to_marks(rng: Random) -> Rule:
    """The shape is copied to every mark, which gives way to its middle."""
    mark = pick_colour(rng)

    def draw() -> Grid:
        cells = empty(rng, 7, 12)
        original, *others = spots(rng, cells, [(3, 3)] * rng.randint(2, 4))
        cells[original.area] = motif(rng, 3, 3, pick_colours(rng, rng.randint(1, 3), but=[mark]))
        for box in others:
            cells[box.area][1, 1] = mark
        return cells

    def apply(cells: Grid) -> Grid:
        marked = cells == mark
        without = np.where(marked, 0, cells)
        return _stamped(without, marked, without[bounds(without > 0)])

    return Rule(draw, apply)


@family("stamp", concept="copy")
def stamp(rng: Random) -> Rule:
    """Every dot grows one and the same pattern around it."""
    paints = pick_colours(rng, rng.randint(1, 2))
    pattern = np.zeros((3, 3), dtype=np.uint8)
    for place in rng.sample([0, 1, 2, 3, 5, 6, 7, 8], rng.choice([2, 3, 5, 6, 7])):
        pattern.flat[place] = rng.choice(paints)

    def draw() -> Grid:
        cells = empty(rng, 5, 12)
        for box in spots(rng, cells, [(3, 3)] * rng.randint(1, 4)):
            cells[box.area][1, 1] = pick_colour(rng, but=paints)
        return cells

    return Rule(draw, lambda cells: _stamped(cells, cells > 0, pattern))


@family("repeat_to_border", concept="copy")
def repeat_to_border(rng: Random) -> Rule:
    """A shape at one side comes again and again, until it leaves on the other."""
    gap = rng.randint(1, 2)

    def draw() -> Grid:
        tall, wide = rng.randint(1, 3), rng.randint(1, 3)
        cells = np.zeros((tall + rng.randint(1, 4), rng.randint(7, 14)), dtype=np.uint8)
        top = rng.randint(0, len(cells) - tall)
        cells[top : top + tall, :wide] = motif(rng, tall, wide, pick_colours(rng, 2))
        return cells

    def apply(cells: Grid) -> Grid:
        period = bounds(cells > 0)[1].stop + gap
        again = [moved(cells, 0, d) for d in range(0, cells.shape[1], period)]
        result: Grid = np.max(again, axis=0)
        return result

    return facing(rng, Rule(draw, apply))
