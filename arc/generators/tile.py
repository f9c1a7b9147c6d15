"""Tile: copies side by side, and patterns that go on."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import (
    coloured,
    empty,
    noise,
    pick_colour,
    pick_colours,
    picture,
    turned,
)
from arc.generators.family import Change, Rule, family
from arc.grid import Grid


@family("tile", concept="tile")
def tile(rng: Random) -> Rule:
    """The grid is laid two or three times in a row, or two by two."""
    repeats = rng.choice([(1, 2), (2, 1), (2, 2), (1, 3), (3, 1)])
    high = 4 if 3 in repeats else 5
    return Rule(lambda: picture(rng, 2, high), lambda cells: np.tile(cells, repeats))


@family("continue_pattern", concept="tile")
def continue_pattern(rng: Random) -> Rule:
    """Rows that repeat go on to the end of the grid."""
    turns = rng.randrange(4)

    def draw() -> Grid:
        period, height, width = rng.randint(2, 4), rng.randint(7, 12), rng.randint(5, 8)
        cycle = np.zeros((period, width), dtype=np.uint8)
        noise(rng, cycle, pick_colours(rng, 3), low=1, high=1)
        cells = np.resize(cycle, (height, width))
        cells[rng.randint(period + 1, height - 2) :] = 0
        return np.rot90(cells, -turns)

    def apply(cells: Grid) -> Grid:
        seen = cells[cells.any(axis=1)]
        period = next(p for p in range(1, len(seen) + 1) if (seen[p:] == seen[:-p]).all())
        return np.resize(seen[:period], cells.shape)

    return Rule(draw, turned(turns, apply))


@family("tile_in_turns", concept="tile")
def tile_in_turns(rng: Random) -> Rule:
    """The grid is laid in rows; every second copy is flipped, or in other tasks left blank."""
    changes: list[Change] = [np.fliplr, np.flipud, np.zeros_like]
    change = rng.choice(changes)
    down, right = rng.choice([(2, 2), (2, 3), (3, 2), (3, 3), (1, 3), (3, 1)])

    def apply(cells: Grid) -> Grid:
        kinds = [cells, change(cells)]
        return np.block([[kinds[(r + c) % 2] for c in range(right)] for r in range(down)])

    return Rule(lambda: picture(rng, 2, 4), apply)


@family("tile_recoloured", concept="tile", held_out=True)
def tile_recoloured(rng: Random) -> Rule:
    """A copy in another colour is laid beside the grid."""
    paint = pick_colour(rng)

    def draw() -> Grid:
        return noise(rng, empty(rng, 2, 4), pick_colours(rng, 1, but=[paint]), high=0.7)

    def apply(cells: Grid) -> Grid:
        return np.hstack([cells, coloured(cells > 0, paint)])

    return Rule(draw, turned(rng.randrange(4), apply))
