"""Extend: lines that go on as they point."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.combine import facing
from arc.generators.drawing import (
    STEPS,
    bounds,
    empty,
    near,
    parts,
    pick_colour,
    pick_colours,
    rays,
)
from arc.generators.family import Rule, family
from arc.grid import Grid


@family("extend_lines", concept="extend")
def extend_lines(rng: Random) -> Rule:
    """Short lines go on to the border, at both ends."""

    def draw() -> Grid:
        cells = empty(rng, 5, 12)
        lanes = np.rot90(cells, rng.randrange(2))
        for lane in range(rng.randint(0, 1), len(lanes), rng.randint(2, 4)):
            length = rng.randint(2, lanes.shape[1] - 2)
            start = rng.randint(0, lanes.shape[1] - length)
            lanes[lane, start : start + length] = pick_colour(rng)
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in parts(cells > 0):
            rows, columns = bounds(part)
            if columns.stop - columns.start > 1:
                result[rows] = cells[part][0]
            elif rows.stop - rows.start > 1:
                result[:, columns] = cells[part][0]
        return result

    along_rows, along_columns = [STEPS["left"], STEPS["right"]], [STEPS["up"], STEPS["down"]]
    return Rule(draw, apply, [lambda c: rays(c, along_rows), lambda c: rays(c, along_columns)])


@family("sunbeams", concept="extend")
def sunbeams(rng: Random) -> Rule:
    """A box sends a beam from the whole of each side, or in other tasks of two opposite ones."""
    paint, ways = pick_colour(rng), rng.choice([["up", "down"], ["left", "right"], list(STEPS)])

    def draw() -> Grid:
        cells = empty(rng, 6, 11)
        tall, wide = rng.randint(1, 3), rng.randint(1, 3)
        top = rng.randint(1, cells.shape[0] - tall - 1)
        left = rng.randint(1, cells.shape[1] - wide - 1)
        cells[top : top + tall, left : left + wide] = pick_colour(rng, but=[paint])
        return cells

    def apply(cells: Grid) -> Grid:
        beams = rays((cells > 0) * np.uint8(paint), [STEPS[way] for way in ways])
        return np.where(cells > 0, cells, beams)

    return Rule(draw, apply)


@family("stop_at_wall", concept="extend")
def stop_at_wall(rng: Random) -> Rule:
    """Each dot sends a line of its colour in one direction, until something is in its way."""
    wall = pick_colour(rng)

    def draw() -> Grid:
        cells = empty(rng, 5, 11)
        for column in range(rng.randint(0, 1), cells.shape[1], rng.randint(2, 3)):
            stop = rng.randint(2, len(cells))
            cells[stop:, column][:1] = wall
            cells[rng.randint(0, stop - 2), column] = pick_colour(rng, but=[wall])
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for row in range(1, len(cells)):
            above = np.where(result[row - 1] == wall, 0, result[row - 1])
            result[row] = np.where(cells[row] > 0, cells[row], above)
        return result

    return facing(rng, Rule(draw, apply))


@family("zigzag", concept="extend", held_out=True)
def zigzag(rng: Random) -> Rule:
    """A dot in a corner sends out a diagonal, which comes back from the walls that it meets."""

    def draw() -> Grid:
        cells = np.zeros((rng.randint(5, 10), rng.randint(2, 5)), dtype=np.uint8)
        cells[0, rng.choice([0, -1])] = pick_colour(rng)
        return cells

    def apply(cells: Grid) -> Grid:
        last = cells.shape[1] - 1
        there_and_back = [*range(last), *range(last, 0, -1)]
        columns = np.resize(there_and_back, len(cells))
        (start,) = np.flatnonzero(cells[0])
        if start == last:
            columns = last - columns
        result = np.zeros_like(cells)
        result[np.arange(len(cells)), columns] = cells.max()
        return result

    return facing(rng, Rule(draw, apply))


@family("ripple", concept="extend", held_out=True)
def ripple(rng: Random) -> Rule:
    """Rings run out from the dot to the border, every second one coloured."""
    paint = rng.choice([None, pick_colour(rng)])

    def draw() -> Grid:
        cells = empty(rng, 5, 9)
        row, column = (rng.randrange(side) for side in cells.shape)
        cells[row, column] = pick_colours(rng, 1, but=[paint or 0])[0]
        return cells

    def apply(cells: Grid) -> Grid:
        reached, result = cells > 0, cells.copy()
        for distance in range(1, max(cells.shape)):
            ring = near(reached) & ~reached
            reached = reached | ring
            if distance % 2 == 0:
                result[ring] = paint or cells.max()
        return result

    return Rule(draw, apply)
