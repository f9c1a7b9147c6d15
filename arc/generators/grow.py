"""Grow: shapes that gain a layer of cells, or lose one."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import (
    STEPS,
    bounds,
    boxes,
    empty,
    filled,
    moved,
    near,
    parts,
    pick_colour,
    pick_colours,
    spots,
    sprite,
)
from arc.generators.family import Rule, family
from arc.grid import Grid


@family("grow", concept="grow")
def grow(rng: Random) -> Rule:
    """Every shape grows by one cell, in its own colour; in some tasks across corners too."""
    diagonally = rng.random() < 0.5

    def draw() -> Grid:
        cells = empty(rng, 5, 12)
        sizes = [(rng.randint(3, 5), rng.randint(3, 5)) for _ in range(rng.randint(1, 4))]
        for box in spots(rng, cells, sizes):
            cells[box.area][1:-1, 1:-1][sprite(rng, box.height - 2, box.width - 2)] = pick_colour(
                rng
            )
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in parts(cells > 0):
            result[near(part, diagonally=diagonally) & (cells == 0)] = cells[part][0]
        return result

    return Rule(draw, apply)


@family("shrink", concept="grow")
def shrink(rng: Random) -> Rule:
    """Every box loses its outermost cells."""

    def draw() -> Grid:
        while True:
            cells = empty(rng, 5, 13)
            for box in boxes(rng, cells, rng.randint(1, 4), 2, 6):
                cells[box.area] = pick_colour(rng)
            if apply(cells).any():
                return cells

    def apply(cells: Grid) -> Grid:
        result = np.zeros_like(cells)
        for part in parts(cells > 0):
            rows, columns = bounds(part)
            core = slice(rows.start + 1, rows.stop - 1), slice(columns.start + 1, columns.stop - 1)
            result[core] = cells[core]
        return result

    return Rule(draw, apply)


@family("grow_one_way", concept="grow")
def grow_one_way(rng: Random) -> Rule:
    """Every box doubles its length in one direction."""
    step = rng.choice(list(STEPS.values()))

    def draw() -> Grid:
        cells = empty(rng, 6, 12)
        sizes = [(rng.randint(1, 2), rng.randint(1, 2)) for _ in range(rng.randint(1, 4))]
        tall, wide = 1 + abs(step[0]), 1 + abs(step[1])
        for box in spots(rng, cells, [(tall * height, wide * width) for height, width in sizes]):
            whole = cells[box.area]
            half = np.flip(whole) if -1 in step else whole
            half[: box.height // tall, : box.width // wide] = pick_colour(rng)
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in parts(cells > 0):
            rows, columns = bounds(part)
            down = step[0] * (rows.stop - rows.start)
            right = step[1] * (columns.stop - columns.start)
            result = np.maximum(result, moved(np.where(part, cells, 0), down, right))
        return result

    return Rule(draw, apply)


@family("spread_in_room", concept="grow")
def spread_in_room(rng: Random) -> Rule:
    """Walls make rooms, and a dot spreads its colour through its room."""
    wall = pick_colour(rng)

    def draw() -> Grid:
        cells = empty(rng, 5, 12)
        cells[rng.randint(1, len(cells) - 2)] = wall
        cells[:, rng.randint(1, cells.shape[1] - 2)] = wall
        rooms = parts(cells == 0)
        colours = pick_colours(rng, 3, but=[wall])
        for room, colour in zip(rng.sample(rooms, rng.randint(1, 3)), colours, strict=False):
            cells[tuple(rng.choice(np.argwhere(room).tolist()))] = colour
        return cells

    return Rule(draw, lambda cells: filled(cells, parts(cells != wall)))
