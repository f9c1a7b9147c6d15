"""Gravity: loose cells fall until something holds them."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import empty, noise, pick_colour, pick_colours, turned
from arc.generators.family import Rule, family
from arc.grid import Grid


def _fallen(cells: Grid) -> Grid:
    result = np.zeros_like(cells)
    for column in range(cells.shape[1]):
        stones = cells[:, column][cells[:, column] > 0]
        result[cells.shape[0] - len(stones) :, column] = stones
    return result


@family("gravity", concept="gravity")
def gravity(rng: Random) -> Rule:
    """Every cell falls towards one side."""

    def draw() -> Grid:
        cells = empty(rng, 4, 7)
        return noise(rng, cells, pick_colours(rng, rng.randint(1, 3)), low=0.2, high=0.45)

    return Rule(draw, turned(rng.randrange(4), _fallen))


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
        return turned(turns, _fallen)(cells)

    return Rule(draw, apply)
