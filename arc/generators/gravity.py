"""Gravity: loose cells fall until something holds them."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.combine import facing
from arc.generators.drawing import empty, noise, pick_colour, pick_colours, scatter, turned
from arc.generators.family import Rule, family
from arc.grid import Grid


def fallen(cells: Grid) -> Grid:
    """Every cell as low in its column as the others let it."""
    result = np.zeros_like(cells)
    for column in range(cells.shape[1]):
        stones = cells[:, column][cells[:, column] > 0]
        result[cells.shape[0] - len(stones) :, column] = stones
    return result


@family("gravity", concept="gravity")
def gravity(rng: Random) -> Rule:
    """Every cell falls towards one side."""

    def draw() -> Grid:
        cells = empty(rng, 4, 10)
        return noise(rng, cells, pick_colours(rng, rng.randint(1, 3)), low=0.2, high=0.45)

    return Rule(draw, turned(rng.randrange(4), fallen))


@family("fall_onto_shelves", concept="gravity")
def fall_onto_shelves(rng: Random) -> Rule:
    """Every loose cell falls until a shelf or another cell holds it; shelves stay."""
    shelf = pick_colour(rng)

    def draw() -> Grid:
        cells = empty(rng, 5, 11)
        for row in range(rng.randint(2, 3), len(cells), rng.randint(3, 4)):
            width = rng.randint(2, cells.shape[1] - 1)
            left = rng.randint(0, cells.shape[1] - width)
            cells[row, left : left + width] = shelf
        scatter(rng, cells, pick_colours(rng, 2, but=[shelf]), cells.size // 6)
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for column in result.T:
            stops = np.flatnonzero(column == shelf)
            for piece in np.split(column, sorted([*stops, *(stops + 1)])):
                piece[:] = fallen(piece[:, None])[:, 0]
        return result

    return facing(rng, Rule(draw, apply))


@family("gravity_to_wall", concept="gravity", held_out=True)
def gravity_to_wall(rng: Random) -> Rule:
    """Every cell falls towards the wall, which stands on another side each time."""
    wall = pick_colour(rng)

    def draw() -> Grid:
        cells = empty(rng, 4, 6)
        colours = pick_colours(rng, rng.randint(1, 2), but=[wall])
        cells[-1] = wall
        noise(rng, cells[:-1], colours, low=0.2, high=0.4)
        return np.rot90(cells, rng.randrange(4))

    def apply(cells: Grid) -> Grid:
        (turns, *_) = [k for k in range(4) if (np.rot90(cells, k)[-1] == wall).all()]
        return turned(turns, fallen)(cells)

    return Rule(draw, apply, rivals=[turned(k, fallen) for k in range(4)])
