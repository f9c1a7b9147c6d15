"""Outline: edges of boxes and of the grid."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import (
    Mask,
    bounds,
    boxes,
    empty,
    near,
    parts,
    pick_colour,
    picture,
)
from arc.generators.family import Rule, family
from arc.grid import Grid


def _solid_boxes(
    rng: Random, low: int, high: int, *, but: int, side: int = 12, most: int = 3
) -> Grid:
    cells = empty(rng, 5, side)
    for box in boxes(rng, cells, rng.randint(1, most), low, high):
        cells[box.area] = pick_colour(rng, but=[but])
    return cells


@family("hollow", concept="outline")
def hollow(rng: Random) -> Rule:
    """Solid boxes lose their inside; in some tasks it takes a colour instead."""
    inside = rng.choice([0, pick_colour(rng)])

    def apply(cells: Grid) -> Grid:
        return _insides(cells, parts(cells > 0), inside)

    def by_colour(cells: Grid) -> Grid:
        return _insides(cells, [cells == colour for colour in np.unique(cells[cells > 0])], inside)

    return Rule(lambda: _solid_boxes(rng, 3, 6, but=inside), apply, rivals=[by_colour])


def _insides(cells: Grid, things: list[Mask], colour: int) -> Grid:
    """The grid with one colour in the middle of the box that holds each thing."""
    result = cells.copy()
    for thing in things:
        result[bounds(thing)][1:-1, 1:-1] = colour
    return result


@family("border", concept="outline")
def border(rng: Random) -> Rule:
    """The outermost cells of the grid take one colour."""
    paint = pick_colour(rng)

    def apply(cells: Grid) -> Grid:
        result = np.full_like(cells, paint)
        result[1:-1, 1:-1] = cells[1:-1, 1:-1]
        return result

    return Rule(lambda: picture(rng, 3, 10), apply)


@family("frame", concept="outline")
def frame(rng: Random) -> Rule:
    """A frame of one colour is put around the grid, one or two cells wide."""
    paint, wide = pick_colour(rng), rng.randint(1, 2)
    return Rule(
        lambda: picture(rng, 2, 9), lambda cells: np.pad(cells, wide, constant_values=paint)
    )


@family("corners", concept="outline")
def corners(rng: Random) -> Rule:
    """The corners of every box take one colour."""
    paint = pick_colour(rng)

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in parts(cells > 0):
            result[bounds(part)][np.ix_([0, -1], [0, -1])] = paint
        return result

    return Rule(lambda: _solid_boxes(rng, 2, 6, but=paint), apply)


@family("outline_each", concept="outline", held_out=True)
def outline_each(rng: Random) -> Rule:
    """A line of one colour runs around every box."""
    paint = pick_colour(rng)

    def apply(cells: Grid) -> Grid:
        return np.where((cells == 0) & near(cells > 0), paint, cells)

    return Rule(lambda: _solid_boxes(rng, 1, 3, but=paint, side=8, most=2), apply)
