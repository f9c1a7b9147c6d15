"""Position: above and below, lying and standing, in front and behind."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.combine import facing
from arc.generators.drawing import (
    Box,
    Mask,
    bounds,
    empty,
    motif,
    parts,
    pick_colour,
    pick_colours,
    scatter,
    spots,
)
from arc.generators.family import Rule, family
from arc.grid import Grid


@family("side_of_line", concept="position")
def side_of_line(rng: Random) -> Rule:
    """What lies on one side of the line takes a colour, or in other tasks goes."""
    line, paint = pick_colours(rng, 2)
    paint = rng.choice([0, paint])

    def draw() -> Grid:
        cells = empty(rng, 5, 11)
        cells[rng.randint(1, len(cells) - 2)] = line
        scatter(rng, cells, pick_colours(rng, 2, but=[line, paint]), cells.size // 5)
        return cells

    def apply(cells: Grid) -> Grid:
        place = (cells == line).all(axis=1).argmax()
        result = cells.copy()
        result[:place][cells[:place] > 0] = paint
        return result

    return facing(rng, Rule(draw, apply))


def _bars(rng: Random, colours: list[int]) -> Grid:
    """Bars that lie and bars that stand."""
    cells = empty(rng, 6, 12)
    lengths = [rng.randint(2, 4) for _ in range(rng.randint(2, 6))]
    sizes = [(1, long) if rng.random() < 0.5 else (long, 1) for long in lengths]
    for box in spots(rng, cells, sizes):
        cells[box.area] = rng.choice(colours)
    return cells


def _sides(part: Mask) -> tuple[int, int]:
    height, width = part[bounds(part)].shape
    return height, width


@family("lying_or_standing", concept="position")
def lying_or_standing(rng: Random) -> Rule:
    """Bars that lie take one colour, and bars that stand another; in some tasks one kind goes."""
    raw, *paints = pick_colours(rng, 3)
    if rng.random() < 0.5:
        paints[rng.randrange(2)] = 0

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in parts(cells > 0):
            sides = _sides(part)
            if min(sides) == 1 < max(sides):
                result[part] = paints[sides.index(1)]
        return result

    return Rule(lambda: _bars(rng, [raw]), apply)


@family("keep_direction", concept="position")
def keep_direction(rng: Random) -> Rule:
    """Bars of many colours: those that lie stay, or in other tasks those that stand."""
    standing = rng.random() < 0.5

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in parts(cells > 0):
            height, width = _sides(part)
            if (width if standing else height) > 1:
                result[part] = 0
        return result

    return Rule(lambda: _bars(rng, pick_colours(rng, 4)), apply)


@family("bring_to_front", concept="position")
def bring_to_front(rng: Random) -> Rule:
    """Of two boxes that overlap, the one behind comes to the front."""

    def draw() -> Grid:
        while True:
            cells = empty(rng, 5, 11)
            behind, front = pick_colours(rng, 2)
            places = [_any_box(rng, cells) for _ in range(2)]
            for box, colour in zip(places, (behind, front), strict=True):
                cells[box.area] = colour
            hidden = (cells[places[0].area][1:-1, 1:-1] == front).any()
            if hidden and _seen_at_its_ends(cells, behind, places[0]):
                return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for colour in np.unique(cells[cells > 0]):
            place = bounds(cells == colour)
            if (cells[place] != colour).any():
                result[place] = colour
        return result

    return Rule(draw, apply)


def _any_box(rng: Random, cells: Grid) -> Box:
    tall, wide = (rng.randint(3, side - 1) for side in cells.shape)
    top, left = rng.randint(0, cells.shape[0] - tall), rng.randint(0, cells.shape[1] - wide)
    return Box(top, left, tall, wide)


def _seen_at_its_ends(cells: Grid, colour: int, box: Box) -> bool:
    seen = cells == colour
    return bool(seen.any()) and bounds(seen) == box.area


@family("mark_centre", concept="centre")
def mark_centre(rng: Random) -> Rule:
    """The cell in the middle of every box takes one colour."""
    paint = pick_colour(rng)

    def draw() -> Grid:
        cells = empty(rng, 6, 13)
        sizes = [(3, 5), (5, 3), (5, 5), (3, 3), (1, 5), (5, 1)]
        for box in spots(rng, cells, [(3, 5), *rng.choices(sizes, k=rng.randint(0, 3))]):
            cells[box.area] = pick_colour(rng, but=[paint])
        return np.rot90(cells, rng.randrange(2))

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in parts(cells > 0):
            rows, columns = bounds(part)
            result[(rows.start + rows.stop) // 2, (columns.start + columns.stop) // 2] = paint
        return result

    return Rule(draw, apply)


@family("move_to_centre", concept="centre")
def move_to_centre(rng: Random) -> Rule:
    """The shape moves to the middle of the grid."""

    def draw() -> Grid:
        cells = np.zeros((rng.choice([5, 7, 9, 11]), rng.choice([5, 7, 9, 11])), dtype=np.uint8)
        (box,) = spots(rng, cells, [(rng.choice([1, 3]), 3)])
        cells[box.area] = motif(rng, box.height, box.width, pick_colours(rng, 2))
        return cells

    def apply(cells: Grid) -> Grid:
        shape = cells[bounds(cells > 0)]
        top, left = (np.subtract(cells.shape, shape.shape)) // 2
        result = np.zeros_like(cells)
        result[top : top + shape.shape[0], left : left + shape.shape[1]] = shape
        return result

    return Rule(draw, apply)
