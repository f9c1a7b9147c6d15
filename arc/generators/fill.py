"""Fill: colour runs into the empty places that lines and outlines mark."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import (
    STEPS,
    bounds,
    boxes,
    empty,
    enclosed,
    near,
    parts,
    pick_colour,
    pick_colours,
    rays,
    scatter,
    sprite,
)
from arc.generators.family import Rule, family
from arc.grid import Grid


@family("fill_enclosed", concept="fill")
def fill_enclosed(rng: Random) -> Rule:
    """The inside of every closed outline takes one colour, whatever its shape."""
    paint, line = pick_colours(rng, 2)

    def draw() -> Grid:
        cells = empty(rng, 6, 12)
        for box in boxes(rng, cells, 3, 3, 6):
            inside = np.zeros((box.height, box.width), dtype=bool)
            inside[1:-1, 1:-1] = sprite(rng, box.height - 2, box.width - 2)
            cells[box.area][near(inside) & ~inside] = line
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in enclosed(cells == 0):
            result[part] = paint
        return result

    def boxes_filled(cells: Grid) -> Grid:
        result = cells.copy()
        for part in parts(cells > 0):
            result[bounds(part)][1:-1, 1:-1] = paint
        return result

    return Rule(draw, apply, rivals=[boxes_filled])


@family("full_lines", concept="fill")
def full_lines(rng: Random) -> Rule:
    """Each dot colours its whole row, or in other tasks its whole column."""
    upright = rng.random() < 0.5
    steps = [STEPS["up"], STEPS["down"]] if upright else [STEPS["left"], STEPS["right"]]

    def draw() -> Grid:
        cells = empty(rng, 4, 10)
        lanes = cells.T if upright else cells
        count = rng.randint(2, min(lanes.shape) // 2)
        places = (rng.sample(range(side), count) for side in lanes.shape)
        for lane, place in zip(*places, strict=True):
            lanes[lane, place] = pick_colour(rng)
        return cells

    return Rule(draw, lambda cells: rays(cells, steps))


@family("crosses", concept="fill", held_out=True)
def crosses(rng: Random) -> Rule:
    """A dot colours both its row and its column."""

    def draw() -> Grid:
        cells = empty(rng, 4, 7)
        scatter(rng, cells, pick_colours(rng, 1), 1)
        return cells

    return Rule(draw, lambda cells: rays(cells, list(STEPS.values())))


@family("checkered", concept="fill")
def checkered(rng: Random) -> Rule:
    """Every solid box turns into a chequerboard with a second colour, its corner unchanged."""
    paint = pick_colour(rng)

    def draw() -> Grid:
        cells = empty(rng, 5, 11)
        for box in boxes(rng, cells, 3, 2, 5):
            cells[box.area] = pick_colour(rng, but=[paint])
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in parts(cells > 0):
            top, left = np.argwhere(part)[0]
            rows, columns = np.indices(cells.shape)
            result[part & ((rows - top + columns - left) % 2 == 1)] = paint
        return result

    return Rule(draw, apply)
