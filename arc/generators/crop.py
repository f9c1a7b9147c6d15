"""Crop: a part of the grid becomes the whole."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import (
    bounds,
    boxes,
    coloured,
    empty,
    motif,
    noise,
    pick_colour,
    pick_colours,
    picture,
    turned,
)
from arc.generators.family import Rule, family
from arc.grid import Grid


def _one_motif(rng: Random, colours: list[int], high: int) -> Grid:
    cells = empty(rng, 5, high)
    (box,) = boxes(rng, cells, 1, 2, high // 2 + 1)
    cells[box.area] = motif(rng, box.height, box.width, colours)
    return cells


@family("crop", concept="crop")
def crop(rng: Random) -> Rule:
    """The shape is cut out."""

    def apply(cells: Grid) -> Grid:
        return cells[bounds(cells > 0)]

    return Rule(lambda: _one_motif(rng, pick_colours(rng, rng.randint(1, 3)), high=11), apply)


@family("peel", concept="crop")
def peel(rng: Random) -> Rule:
    """The frame around the grid is taken off."""

    def draw() -> Grid:
        inside = picture(rng, 2, 9)
        line = pick_colour(rng)
        return np.pad(inside, 1, constant_values=line)

    return Rule(draw, lambda cells: cells[1:-1, 1:-1])


@family("take_half", concept="crop")
def take_half(rng: Random) -> Rule:
    """One half of the grid is kept, always on the same side."""
    turns = rng.randrange(4)

    def draw() -> Grid:
        cells = np.zeros((rng.randint(2, 8), 2 * rng.randint(2, 5)), dtype=np.uint8)
        return np.rot90(noise(rng, cells, pick_colours(rng, 3), low=0.5), turns)

    def apply(cells: Grid) -> Grid:
        return cells[:, : cells.shape[1] // 2]

    return Rule(draw, turned(turns, apply))


@family("crop_recolour", concept="crop", held_out=True)
def crop_recolour(rng: Random) -> Rule:
    """The shape is cut out and takes a new colour."""
    paint = pick_colour(rng)

    def apply(cells: Grid) -> Grid:
        return coloured(cells > 0, paint)[bounds(cells > 0)]

    return Rule(lambda: _one_motif(rng, pick_colours(rng, 1, but=[paint]), high=7), apply)
