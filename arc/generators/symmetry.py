"""Symmetry: flips, turns and mirrors."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import (
    beside,
    bounds,
    boxes,
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


@family("flip", concept="symmetry")
def flip(rng: Random) -> Rule:
    """The grid is flipped, left to right or top to bottom."""
    axis = rng.randrange(2)
    return Rule(lambda: picture(rng, 3, 10), lambda cells: np.flip(cells, axis))


@family("rotate", concept="symmetry")
def rotate(rng: Random) -> Rule:
    """The grid is turned by one, two or three quarters."""
    turns = rng.randint(1, 3)
    return Rule(lambda: picture(rng, 3, 10), lambda cells: np.rot90(cells, turns))


@family("mirror_double", concept="symmetry")
def mirror_double(rng: Random) -> Rule:
    """The grid and its mirror image stand side by side."""

    def apply(cells: Grid) -> Grid:
        return np.hstack([cells, cells[:, ::-1]])

    return Rule(lambda: picture(rng, 2, 6), turned(rng.randrange(4), apply))


@family("flip_each", concept="symmetry")
def flip_each(rng: Random) -> Rule:
    """Every shape is flipped where it stands, left to right or top to bottom."""
    axis = rng.randrange(2)

    def draw() -> Grid:
        cells = empty(rng, 5, 12)
        for box in boxes(rng, cells, rng.randint(1, 4), 2, 4):
            cells[box.area] = motif(rng, box.height, box.width, pick_colours(rng, 2))
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in parts(cells > 0):
            result[bounds(part)] = np.flip(cells[bounds(part)], axis)
        return result

    return Rule(draw, apply)


@family("reflect_over_line", concept="symmetry", held_out=True)
def reflect_over_line(rng: Random) -> Rule:
    """What lies on one side of the line is reflected to the other, as far as there is room."""
    line, turns = pick_colour(rng), rng.randrange(2)

    def draw() -> Grid:
        height, width = rng.randint(3, 7), rng.randint(2, 4)
        colours = pick_colours(rng, rng.randint(1, 2), but=[line])
        near = noise(rng, np.zeros((height, width), dtype=np.uint8), colours, low=0.2, high=0.5)
        far = np.zeros((height, rng.randint(2, 5)), dtype=np.uint8)
        return np.rot90(beside([near, far], line)[:, :: rng.choice([1, -1])], -turns)

    def apply(cells: Grid) -> Grid:
        place = np.flatnonzero((cells == line).all(axis=0))[0]
        reach = min(place, cells.shape[1] - 1 - place)
        around = slice(place - reach, place + reach + 1)
        result = cells.copy()
        result[:, around] = np.maximum(cells[:, around], cells[:, around][:, ::-1])
        return result

    return Rule(draw, turned(turns, apply))


@family("mirror_half", concept="symmetry", held_out=True)
def mirror_half(rng: Random) -> Rule:
    """One half of the grid is drawn, and its mirror image fills the other."""
    turns = rng.randrange(4)

    def draw() -> Grid:
        half = rng.randint(2, 3)
        cells = np.zeros((rng.randint(3, 6), 2 * half), dtype=np.uint8)
        noise(rng, cells[:, :half], pick_colours(rng, rng.randint(1, 3)))
        return np.rot90(cells, -turns)

    def apply(cells: Grid) -> Grid:
        half = cells.shape[1] // 2
        return np.hstack([cells[:, :half], cells[:, :half][:, ::-1]])

    return Rule(draw, turned(turns, apply))


@family("transpose", concept="symmetry", held_out=True)
def transpose(rng: Random) -> Rule:
    """Rows become columns, along one diagonal or the other."""
    if rng.random() < 0.5:
        return Rule(lambda: picture(rng, 3, 5), lambda cells: cells.T)
    return Rule(lambda: picture(rng, 3, 5), lambda cells: np.rot90(cells, 2).T)
