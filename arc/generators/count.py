"""Count: how many there are, and of what there are most."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import (
    beside,
    boxes,
    empty,
    noise,
    panels_of,
    parts,
    pick_colour,
    pick_colours,
    scatter,
    sprite,
)
from arc.generators.family import Change, Rule, family
from arc.grid import Grid


def _all_as(row: int, column: int) -> Change:
    return lambda cells: np.full_like(cells, cells[row, column])


CORNERS = [_all_as(row, column) for row in (0, -1) for column in (0, -1)]


def _crowd(rng: Random, deciding: int, high: int) -> Grid:
    """A full grid of three colours, no two of them equally common at the `deciding` end."""
    while True:
        cells = noise(rng, empty(rng, 3, high), pick_colours(rng, 3), low=1, high=1)
        counts = sorted(np.bincount(cells.ravel())[np.unique(cells)])
        if counts[deciding] != counts[1]:
            return cells


@family("count_dots", concept="count")
def count_dots(rng: Random) -> Rule:
    """The dots in one line, in the order of reading, lying or in other tasks standing."""
    standing = rng.random() < 0.5

    def draw() -> Grid:
        cells = empty(rng, 3, 9)
        for colour in pick_colours(rng, rng.randint(2, 3)):
            scatter(rng, cells, [colour], rng.randint(1, 4))
        return cells

    def apply(cells: Grid) -> Grid:
        dots = cells[cells > 0]
        return dots.reshape(-1, 1) if standing else dots.reshape(1, -1)

    return Rule(draw, apply)


@family("count_shapes", concept="count")
def count_shapes(rng: Random) -> Rule:
    """One line of as many cells as there are shapes, however large they are."""
    standing, paint = rng.random() < 0.5, pick_colour(rng)

    def draw() -> Grid:
        cells = empty(rng, 5, 12)
        for box in boxes(rng, cells, rng.randint(1, 6), 1, 3):
            colour = pick_colour(rng, but=[paint])
            cells[box.area][sprite(rng, box.height, box.width)] = colour
        return cells

    def apply(cells: Grid) -> Grid:
        count = len(parts(cells > 0))
        return np.full((count, 1) if standing else (1, count), paint, dtype=np.uint8)

    return Rule(draw, apply)


@family("same_or_different", concept="count")
def same_or_different(rng: Random) -> Rule:
    """One colour says that the two drawings are the same, another that they differ."""
    line, same, different = pick_colours(rng, 3)
    turns = rng.randrange(2)

    def draw() -> Grid:
        one = np.zeros((rng.randint(2, 6), rng.randint(2, 5)), dtype=np.uint8)
        colours = pick_colours(rng, 2, but=[line])
        other = noise(rng, one, colours).copy()
        if rng.random() < 0.5:
            for place in rng.sample(range(one.size), rng.randint(1, 2)):
                other.flat[place] = 0 if other.flat[place] else rng.choice(colours)
        return np.rot90(beside([one, other], line), turns)

    def apply(cells: Grid) -> Grid:
        one, other = panels_of(np.rot90(cells, -turns), line)
        return np.full((1, 1), same if (one == other).all() else different, dtype=np.uint8)

    def always(colour: int) -> Change:
        return lambda cells: np.full((1, 1), colour, dtype=np.uint8)

    return Rule(draw, apply, rivals=[always(same), always(different)])


@family("histogram", concept="count", held_out=True)
def histogram(rng: Random) -> Rule:
    """A bar for each colour, as long as it has cells, the longest first."""

    def draw() -> Grid:
        cells = empty(rng, 4, 7)
        counts = rng.sample(range(1, 7), rng.randint(2, 3))
        for colour, count in zip(pick_colours(rng, len(counts)), counts, strict=True):
            scatter(rng, cells, [colour], count)
        return cells

    def apply(cells: Grid) -> Grid:
        counts = np.bincount(cells.ravel())
        counts[0] = 0
        ranked = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        lengths = counts[ranked]
        bars = np.arange(lengths.max()) < lengths[:, None]
        return (bars * ranked[:, None]).astype(np.uint8)

    return Rule(draw, apply)


@family("majority", concept="count")
def majority(rng: Random) -> Rule:
    """The commonest colour takes the whole grid."""

    def apply(cells: Grid) -> Grid:
        return np.full_like(cells, np.bincount(cells.ravel()).argmax())

    return Rule(lambda: _crowd(rng, 2, high=8), apply, rivals=CORNERS)


@family("rarest_colour", concept="count", held_out=True)
def rarest_colour(rng: Random) -> Rule:
    """The rarest colour takes the whole grid."""

    def apply(cells: Grid) -> Grid:
        colours, counts = np.unique(cells, return_counts=True)
        return np.full_like(cells, colours[counts.argmin()])

    return Rule(lambda: _crowd(rng, 0, high=5), apply, rivals=CORNERS)
