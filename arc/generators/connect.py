"""Connect: lines between dots, and from dots to the border."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import (
    DIAGONALS,
    STEPS,
    empty,
    near,
    pick_colour,
    pick_colours,
    rays,
    scatter,
)
from arc.generators.family import Rule, family
from arc.grid import Grid


@family("connect", concept="connect")
def connect(rng: Random) -> Rule:
    """Two dots of one colour in the same row or column are joined by a line."""

    def draw() -> Grid:
        cells = empty(rng, 4, 7)
        lanes = np.rot90(cells, rng.randrange(2))
        colours = pick_colours(rng, 2)
        for lane, colour in zip(rng.sample(range(len(lanes)), 2), colours, strict=True):
            start = rng.randrange(lanes.shape[1] - 2)
            lanes[lane, [start, rng.randrange(start + 2, lanes.shape[1])]] = colour
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for colour in np.unique(cells[cells > 0]):
            (top, left), (bottom, right) = np.argwhere(cells == colour)
            result[top : bottom + 1, left : right + 1] = colour
        return result

    return Rule(draw, apply)


@family("plus", concept="connect")
def plus(rng: Random) -> Rule:
    """Each dot grows four arms of one colour."""
    paint = pick_colour(rng)

    def draw() -> Grid:
        cells = empty(rng, 4, 7)
        scatter(rng, cells, pick_colours(rng, 1, but=[paint]), rng.randint(1, 3), apart=True)
        return cells

    def apply(cells: Grid) -> Grid:
        arms = near(cells > 0, diagonally=False)
        return np.where((cells == 0) & arms, paint, cells)

    return Rule(draw, apply)


@family("line_to_side", concept="connect", held_out=True)
def line_to_side(rng: Random) -> Rule:
    """Each dot sends a line of its colour to one side of the grid."""
    step = rng.choice(list(STEPS.values()))

    def draw() -> Grid:
        cells = empty(rng, 4, 7)
        inside = cells[1:-1, 1:-1]
        scatter(rng, inside, pick_colours(rng, 2), rng.randint(1, 3), apart=True)
        return cells

    return Rule(draw, lambda cells: rays(cells, [step]))


@family("diagonal_rays", concept="connect", held_out=True)
def diagonal_rays(rng: Random) -> Rule:
    """Each dot sends a diagonal of its colour to the border."""
    step = rng.choice(list(DIAGONALS.values()))

    def draw() -> Grid:
        cells = empty(rng, 4, 7)
        inside = cells[1:-1, 1:-1]
        scatter(rng, inside, pick_colours(rng, 2), rng.randint(1, 2), apart=True)
        return cells

    return Rule(draw, lambda cells: rays(cells, [step]))
