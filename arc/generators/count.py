"""Count: how many there are, and of what there are most."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import empty, noise, pick_colours, scatter
from arc.generators.family import Rule, family
from arc.grid import Grid


def _crowd(rng: Random, deciding: int) -> Grid:
    """A full grid of three colours, no two of them equally common at the `deciding` end."""
    while True:
        cells = noise(rng, empty(rng, 3, 5), pick_colours(rng, 3), low=1, high=1)
        counts = sorted(np.bincount(cells.ravel())[np.unique(cells)])
        if counts[deciding] != counts[1]:
            return cells


@family("count_dots", concept="count")
def count_dots(rng: Random) -> Rule:
    """One line of as many cells as there are dots, lying or in other tasks standing."""
    standing = rng.random() < 0.5

    def draw() -> Grid:
        cells = empty(rng, 3, 6)
        scatter(rng, cells, pick_colours(rng, 1), rng.randint(1, 6))
        return cells

    def apply(cells: Grid) -> Grid:
        dots = cells[cells > 0]
        return dots.reshape(-1, 1) if standing else dots.reshape(1, -1)

    return Rule(draw, apply)


@family("majority", concept="count")
def majority(rng: Random) -> Rule:
    """The commonest colour takes the whole grid."""

    def apply(cells: Grid) -> Grid:
        return np.full_like(cells, np.bincount(cells.ravel()).argmax())

    return Rule(lambda: _crowd(rng, 2), apply)


@family("rarest_colour", concept="count", held_out=True)
def rarest_colour(rng: Random) -> Rule:
    """The rarest colour takes the whole grid."""

    def apply(cells: Grid) -> Grid:
        colours, counts = np.unique(cells, return_counts=True)
        return np.full_like(cells, colours[counts.argmin()])

    return Rule(lambda: _crowd(rng, 0), apply)
