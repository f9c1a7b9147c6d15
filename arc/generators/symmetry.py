"""Symmetry: flips, turns and mirrors."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import noise, pick_colours, picture, turned
from arc.generators.family import Rule, family
from arc.grid import Grid


@family("flip", concept="symmetry")
def flip(rng: Random) -> Rule:
    """The grid is flipped, left to right or top to bottom."""
    axis = rng.randrange(2)
    return Rule(lambda: picture(rng, 3, 6), lambda cells: np.flip(cells, axis))


@family("rotate", concept="symmetry")
def rotate(rng: Random) -> Rule:
    """The grid is turned by one, two or three quarters."""
    turns = rng.randint(1, 3)
    return Rule(lambda: picture(rng, 3, 6), lambda cells: np.rot90(cells, turns))


@family("mirror_double", concept="symmetry")
def mirror_double(rng: Random) -> Rule:
    """The grid and its mirror image stand side by side."""

    def apply(cells: Grid) -> Grid:
        return np.hstack([cells, cells[:, ::-1]])

    return Rule(lambda: picture(rng, 2, 4), turned(rng.randrange(4), apply))


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
