"""Denoise: some things stay and the others go."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import (
    boxes,
    coloured,
    empty,
    noise,
    parts,
    pick_colour,
    pick_colours,
    scatter,
    sprite,
)
from arc.generators.family import Rule, family
from arc.grid import Grid


@family("remove_strays", concept="denoise")
def remove_strays(rng: Random) -> Rule:
    """Single cells go, boxes stay."""

    def draw() -> Grid:
        cells = empty(rng, 5, 8)
        colours = pick_colours(rng, 2)
        for box in boxes(rng, cells, rng.randint(1, 2), 2, 3):
            cells[box.area] = rng.choice(colours)
        scatter(rng, cells, colours, rng.randint(1, 4), apart=True)
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in parts(cells > 0):
            if part.sum() == 1:
                result[part] = 0
        return result

    return Rule(draw, apply)


@family("keep_colour", concept="denoise")
def keep_colour(rng: Random) -> Rule:
    """One colour stays, all others go."""
    kept = pick_colour(rng)

    def draw() -> Grid:
        others = pick_colours(rng, 2, but=[kept])
        return noise(rng, empty(rng, 3, 7), [kept, *others])

    return Rule(draw, lambda cells: coloured(cells == kept, kept))


@family("keep_largest", concept="denoise", held_out=True)
def keep_largest(rng: Random) -> Rule:
    """Of several shapes only the largest stays."""

    def draw() -> Grid:
        while True:
            cells = empty(rng, 5, 8)
            for box in boxes(rng, cells, 3, 1, 3):
                shape = sprite(rng, box.height, box.width)
                cells[box.area][shape] = pick_colour(rng)
            sizes = sorted(int(part.sum()) for part in parts(cells > 0))
            if len(sizes) > 1 and sizes[-1] > sizes[-2]:
                return cells

    def apply(cells: Grid) -> Grid:
        return np.where(max(parts(cells > 0), key=np.sum), cells, 0)

    return Rule(draw, apply)
