"""Connect: lines between dots, and from dots to the border."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import numpy as np

from arc.generators.combine import facing
from arc.generators.drawing import (
    DIAGONALS,
    STEPS,
    bounds,
    boxes,
    empty,
    near,
    parts,
    pick_colour,
    pick_colours,
    rays,
    scatter,
)
from arc.generators.family import Rule, family
from arc.grid import Grid


@family("connect", concept="connect")
def connect(rng: Random) -> Rule:
    """Two dots of one colour in the same row or column are joined by a line."""

    def draw() -> Grid:
        while True:
            cells = empty(rng, 4, 11)
            colours = pick_colours(rng, 2)
            for lane in rng.sample(range(len(cells)), rng.randint(2, min(4, len(cells)))):
                start = rng.randrange(cells.shape[1] - 2)
                stop = rng.randrange(start + 2, cells.shape[1])
                cells[lane, [start, stop]] = rng.choice(colours)
            if not any(_pairs(cells.T)):
                return np.rot90(cells, rng.randrange(2))

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for lane, start, stop, colour in _pairs(cells):
            result[lane, start:stop] = colour
        for lane, start, stop, colour in _pairs(cells.T):
            result[start:stop, lane] = colour
        return result

    return Rule(draw, apply, rivals=[_boxes_filled])


def _pairs(cells: Grid) -> Iterator[tuple[int, int, int, int]]:
    """Rows with two dots of one colour: the row, from where to where, the colour."""
    for lane, row in enumerate(cells):
        for colour in np.unique(row[row > 0]):
            ends = np.flatnonzero(row == colour)
            if len(ends) == 2:
                yield lane, ends[0], ends[1], colour


def _boxes_filled(cells: Grid) -> Grid:
    """For each colour, the box that holds all of its cells."""
    result = cells.copy()
    for colour in np.unique(cells[cells > 0]):
        result[bounds(cells == colour)] = colour
    return result


@family("plus", concept="connect")
def plus(rng: Random) -> Rule:
    """Each dot grows four arms of one colour."""
    paint = pick_colour(rng)

    def draw() -> Grid:
        cells = empty(rng, 4, 11)
        scatter(rng, cells, pick_colours(rng, 1, but=[paint]), rng.randint(1, 5), apart=True)
        return cells

    def apply(cells: Grid) -> Grid:
        arms = near(cells > 0, diagonally=False)
        return np.where((cells == 0) & arms, paint, cells)

    return Rule(draw, apply)


@family("elbow", concept="connect")
def elbow(rng: Random) -> Rule:
    """Two dots are joined by a line with one bend; the colours say where it begins."""
    start, end, paint = pick_colours(rng, 3)

    def draw() -> Grid:
        cells = empty(rng, 5, 11)
        rows, columns = (rng.sample(range(side), 2) for side in cells.shape)
        cells[rows[0], columns[0]], cells[rows[1], columns[1]] = start, end
        return cells

    def apply(cells: Grid) -> Grid:
        (row, column), (goal_row, goal_column) = (np.argwhere(cells == c)[0] for c in (start, end))
        line = np.zeros_like(cells)
        line[row, min(column, goal_column) : max(column, goal_column) + 1] = paint
        line[min(row, goal_row) : max(row, goal_row) + 1, goal_column] = paint
        return np.where(cells > 0, cells, line)

    return facing(rng, Rule(draw, apply))


@family("box_from_corners", concept="connect")
def box_from_corners(rng: Random) -> Rule:
    """Four dots are the corners of a box, of which the sides are drawn or the inside filled."""
    paint, sides = pick_colour(rng), rng.random() < 0.5

    def draw() -> Grid:
        cells = empty(rng, 5, 12)
        places = boxes(rng, cells, rng.randint(1, 3), 3, 6)
        for box, colour in zip(places, pick_colours(rng, len(places), but=[paint]), strict=True):
            cells[box.area][np.ix_([0, -1], [0, -1])] = colour
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for colour in np.unique(cells[cells > 0]):
            box = result[bounds(cells == colour)]
            if sides:
                box[[0, -1], 1:-1] = box[1:-1, [0, -1]] = paint
            else:
                box[1:-1, 1:-1] = paint
        return result

    return Rule(draw, apply)


@family("bridge", concept="connect", held_out=True)
def bridge(rng: Random) -> Rule:
    """The gap between two boxes is bridged where they face each other."""
    paint = pick_colour(rng)

    def draw() -> Grid:
        low, high = rng.randint(1, 3), rng.randint(1, 3)
        width = rng.randint(4, 9)
        cells = np.zeros((low + high + rng.randint(2, 5), width), dtype=np.uint8)
        left, right = sorted(rng.sample(range(width), 2))
        start = rng.randint(0, right)
        stop = rng.randint(max(left, start) + 1, width)
        colour = pick_colour(rng, but=[paint])
        cells[:low, left : right + 1] = cells[-high:, start:stop] = colour
        if rng.random() < 0.5:
            cells = cells[::-1]
        return np.rot90(cells, rng.randrange(2))

    def apply(cells: Grid) -> Grid:
        one, other = (bounds(part) for part in parts(cells > 0))
        upright = one[0].stop < other[0].start
        if not upright:
            cells = cells.T
            one, other = one[::-1], other[::-1]
        between = slice(min(one[0].stop, other[0].stop), max(one[0].start, other[0].start))
        shared = slice(max(one[1].start, other[1].start), min(one[1].stop, other[1].stop))
        result = cells.copy()
        result[between, shared] = paint
        return result if upright else result.T

    return Rule(draw, apply)


@family("line_to_side", concept="connect", held_out=True)
def line_to_side(rng: Random) -> Rule:
    """Each dot sends a line of its colour to one side of the grid."""
    step = rng.choice(list(STEPS.values()))

    def draw() -> Grid:
        cells = empty(rng, 4, 7)
        inside = cells[1:-1, 1:-1]
        scatter(rng, inside, pick_colours(rng, 2), rng.randint(1, 3), apart=True)
        return cells

    return Rule(draw, lambda cells: rays(cells, [step]))


@family("diagonal_rays", concept="connect", held_out=True)
def diagonal_rays(rng: Random) -> Rule:
    """Each dot sends a diagonal of its colour to the border."""
    step = rng.choice(list(DIAGONALS.values()))

    def draw() -> Grid:
        cells = empty(rng, 4, 7)
        inside = cells[1:-1, 1:-1]
        scatter(rng, inside, pick_colours(rng, 2), rng.randint(1, 2), apart=True)
        return cells

    return Rule(draw, lambda cells: rays(cells, [step]))
