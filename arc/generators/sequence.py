"""Sequence: what has begun goes on in the same way."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.combine import facing
from arc.generators.drawing import Mask, bounds, coloured, parts, pick_colour, pick_colours
from arc.generators.family import Rule, family
from arc.grid import Grid


@family("staircase", concept="sequence")
def staircase(rng: Random) -> Rule:
    """Each line is longer than the one before by one or two cells, or in other tasks shorter."""
    growth = rng.choice([-2, 1, 2])

    def draw() -> Grid:
        width = rng.randint(4, 12)
        cells = np.zeros((rng.randint(3, 9), width), dtype=np.uint8)
        length = rng.randint(1, width // 2) if growth > 0 else rng.randint(width // 2 + 1, width)
        cells[0, :length] = pick_colour(rng)
        return cells

    def apply(cells: Grid) -> Grid:
        lengths = (cells[0] > 0).sum() + growth * np.arange(len(cells))
        steps: Mask = np.arange(cells.shape[1]) < lengths[:, None]
        return coloured(steps, int(cells[0, 0]))

    return facing(rng, Rule(draw, apply))


@family("continue_colours", concept="sequence")
def continue_colours(rng: Random) -> Rule:
    """The blank beads of a string take the colours that come next."""
    blank = pick_colour(rng)

    def draw() -> Grid:
        period = rng.randint(2, 3)
        known, unknown = period + rng.randint(1, 3), rng.randint(2, 4)
        colours = np.resize(pick_colours(rng, period, but=[blank]), known)
        cells = np.zeros((rng.randint(1, 5), known + unknown + rng.randint(0, 2)), dtype=np.uint8)
        cells[rng.randrange(len(cells)), : known + unknown] = [*colours, *([blank] * unknown)]
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        string = result[bounds(cells > 0)][0]
        known = string[string != blank]
        period = next(p for p in range(1, len(known)) if (known[p:] == known[:-p]).all())
        string[:] = np.resize(known[:period], len(string))
        return result

    return facing(rng, Rule(draw, apply))


@family("next_bar", concept="sequence")
def next_bar(rng: Random) -> Rule:
    """The bars grow, or shrink, by equal steps, and the next one is added."""

    def draw() -> Grid:
        count, step = rng.randint(2, 4), rng.choice([-2, -1, 1, 2])
        low = rng.randint(1, 2)
        heights = [low + abs(step) * i for i in range(count + 1)][:: 1 if step > 0 else -1]
        cells = np.zeros((max(heights) + rng.randint(0, 2), 2 * count + 2), dtype=np.uint8)
        paint = pick_colour(rng)
        for i, tall in enumerate(heights[:-1]):
            cells[len(cells) - tall :, 2 * i] = paint
        return cells

    def apply(cells: Grid) -> Grid:
        heights = [int(part.sum()) for part in parts((cells > 0).T)]
        result = cells.copy()
        following = 2 * heights[-1] - heights[-2]
        result[len(cells) - following :, 2 * len(heights)] = cells.max()
        return result

    return facing(rng, Rule(draw, apply))
