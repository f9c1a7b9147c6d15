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
    parts,
    pick_colour,
    pick_colours,
    picture,
    turned,
)
from arc.generators.family import Rule, family
from arc.grid import Grid


@family("crop", concept="crop")
def crop(rng: Random) -> Rule:
    """The box that holds everything is cut out."""

    def draw() -> Grid:
        while True:
            cells = empty(rng, 5, 11)
            (box,) = boxes(rng, cells, 1, 2, 6)
            noise(rng, cells[box.area], pick_colours(rng, rng.randint(2, 3)), low=0.4, high=0.7)
            if bounds(cells > 0) == box.area and len(parts(cells > 0)) > 1:
                return cells

    return Rule(draw, lambda cells: cells[bounds(cells > 0)])


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

    def draw() -> Grid:
        colours = pick_colours(rng, 1, but=[paint])
        cells = empty(rng, 5, 7)
        (box,) = boxes(rng, cells, 1, 2, 4)
        cells[box.area] = motif(rng, box.height, box.width, colours)
        return cells

    def apply(cells: Grid) -> Grid:
        return coloured(cells > 0, paint)[bounds(cells > 0)]

    return Rule(draw, apply)
