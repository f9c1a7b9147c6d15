"""Denoise: some things stay and the others go."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import (
    bounds,
    boxes,
    coloured,
    empty,
    enclosed,
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
        cells = empty(rng, 5, 11)
        colours = pick_colours(rng, 2)
        for box in boxes(rng, cells, rng.randint(1, 3), 2, 4):
            cells[box.area] = rng.choice(colours)
        scatter(rng, cells, colours, rng.randint(1, 6), apart=True)
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
        return noise(rng, empty(rng, 3, 10), [kept, *others])

    return Rule(draw, lambda cells: coloured(cells == kept, kept))


@family("clean_boxes", concept="denoise")
def clean_boxes(rng: Random) -> Rule:
    """Dirt of one colour goes, on the ground and on the boxes."""
    dirt = pick_colour(rng)

    def draw() -> Grid:
        while True:
            cells = empty(rng, 6, 13)
            places = boxes(rng, cells, rng.randint(1, 3), 3, 6)
            for box, colour in zip(places, pick_colours(rng, len(places), but=[dirt]), strict=True):
                cells[box.area] = colour
            clean = cells.copy()
            for place in rng.sample(range(cells.size), cells.size // 6):
                cells.flat[place] = dirt
            if (apply(cells) == clean).all():
                return cells

    def apply(cells: Grid) -> Grid:
        result = np.where(cells == dirt, 0, cells)
        for colour in np.unique(result[result > 0]):
            result[bounds(cells == colour)] = colour
        return result

    return Rule(draw, apply)


@family("at_the_border", concept="denoise")
def at_the_border(rng: Random) -> Rule:
    """Shapes that touch the border go, or in other tasks those that do not."""
    touching = rng.random() < 0.5

    def draw() -> Grid:
        while True:
            cells = empty(rng, 6, 12)
            for box in boxes(rng, cells, rng.randint(2, 5), 1, 4):
                cells[box.area][sprite(rng, box.height, box.width)] = pick_colour(rng)
            if apply(cells).any():
                return cells

    def apply(cells: Grid) -> Grid:
        free = np.zeros(cells.shape, dtype=bool)
        for part in enclosed(cells > 0):
            free |= part
        return np.where(free == touching, cells, 0)

    return Rule(draw, apply)


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
