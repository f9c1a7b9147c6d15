"""Majority: what most cells say."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import beside, noise, panels_of, pick_colour, pick_colours, turned
from arc.generators.family import Rule, family
from arc.grid import Grid


@family("line_majority", concept="majority")
def line_majority(rng: Random) -> Rule:
    """Every row takes the colour that it has most of, or in other tasks every column."""
    turns = rng.randrange(2)

    def draw() -> Grid:
        height, width = rng.randint(3, 9), rng.randint(4, 10)
        cells = np.zeros((height, width), dtype=np.uint8)
        for row in cells:
            row[:] = pick_colour(rng)
            for column in rng.sample(range(width), rng.randint(0, (width - 1) // 2)):
                row[column] = pick_colour(rng)
        return np.rot90(cells, -turns)

    def apply(cells: Grid) -> Grid:
        most = [np.bincount(row).argmax() for row in cells]
        return np.broadcast_to(np.array(most, dtype=np.uint8)[:, None], cells.shape)

    return Rule(draw, turned(turns, apply))


@family("vote_of_panels", concept="majority", held_out=True)
def vote_of_panels(rng: Random) -> Rule:
    """Three copies of one drawing have faults; each cell is as most of the copies have it."""
    line, turns = pick_colour(rng), rng.randrange(2)

    def draw() -> Grid:
        cells = np.zeros((rng.randint(3, 5), rng.randint(2, 3)), dtype=np.uint8)
        colours = pick_colours(rng, 2, but=[line])
        true = noise(rng, cells, colours, low=0.5)
        copies = [true.copy() for _ in range(3)]
        for i, place in enumerate(rng.sample(range(true.size), rng.randint(3, true.size // 2))):
            fault = rng.choice([c for c in (0, *colours) if c != true.flat[place]])
            copies[i % 3].flat[place] = fault
        return np.rot90(beside(copies, line), -turns)

    def apply(cells: Grid) -> Grid:
        one, other, third = panels_of(cells, line)
        return np.where(one == other, one, third)

    return Rule(draw, turned(turns, apply))
