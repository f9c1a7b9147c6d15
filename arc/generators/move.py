"""Move: the same shape, or the same grid, a few cells further."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import (
    STEPS,
    empty,
    moved,
    pick_colour,
    pick_colours,
    picture,
    scatter,
    sprite,
)
from arc.generators.family import Rule, family
from arc.grid import Grid


@family("shift", concept="move")
def shift(rng: Random) -> Rule:
    """A shape moves one or two cells in one direction."""
    down, right = rng.choice(list(STEPS.values()))
    length = rng.randint(1, 2)

    def draw() -> Grid:
        cells = empty(rng, 5, 7)
        shape = sprite(rng, rng.randint(2, 3), rng.randint(2, 3))
        tall, wide = shape.shape
        room = cells.copy()  # where the shape may start and still end inside
        inside = moved(np.ones_like(room), -down * length, -right * length) > 0
        places = [
            (r, c)
            for r, c in np.ndindex(cells.shape[0] - tall + 1, cells.shape[1] - wide + 1)
            if inside[r : r + tall, c : c + wide].all()
        ]
        top, left = rng.choice(places)
        cells[top : top + tall, left : left + wide][shape] = pick_colour(rng)
        return cells

    return Rule(draw, lambda cells: moved(cells, down * length, right * length))


@family("shadow", concept="move")
def shadow(rng: Random) -> Rule:
    """Each dot casts a shadow of one colour on the empty cell beside it."""
    down, right = rng.choice([(1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)])
    dark = pick_colour(rng)

    def draw() -> Grid:
        cells = empty(rng, 4, 7)
        scatter(rng, cells, pick_colours(rng, 2, but=[dark]), rng.randint(2, 4), apart=True)
        return cells

    def apply(cells: Grid) -> Grid:
        return np.where((cells == 0) & (moved(cells, down, right) > 0), dark, cells)

    return Rule(draw, apply)


@family("roll", concept="move", held_out=True)
def roll(rng: Random) -> Rule:
    """The whole grid moves on, and what leaves on one side comes back on the other."""
    length, axis = rng.choice([-2, -1, 1, 2]), rng.randrange(2)
    return Rule(lambda: picture(rng, 4, 6), lambda cells: np.roll(cells, length, axis))
