"""Move: the same shape, or the same grid, a few cells further."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.combine import facing
from arc.generators.drawing import (
    STEPS,
    bounds,
    boxes,
    empty,
    motif,
    moved,
    pick_colour,
    pick_colours,
    picture,
    scatter,
    sprite,
    turned,
)
from arc.generators.family import Rule, family
from arc.generators.gravity import fallen
from arc.grid import Grid


@family("shift", concept="move")
def shift(rng: Random) -> Rule:
    """A shape moves one, two or three cells in one direction; what leaves the grid is gone."""
    down, right = rng.choice(list(STEPS.values()))
    length = rng.randint(1, 3)

    def draw() -> Grid:
        while True:
            cells = empty(rng, 5, 11)
            (box,) = boxes(rng, cells, 1, 2, 4)
            cells[box.area][sprite(rng, box.height, box.width)] = pick_colour(rng)
            if apply(cells).any():
                return cells

    def apply(cells: Grid) -> Grid:
        return moved(cells, down * length, right * length)

    def rolled(cells: Grid) -> Grid:
        return np.roll(cells, (down * length, right * length), axis=(0, 1))

    return Rule(draw, apply, rivals=[rolled])


@family("shadow", concept="move")
def shadow(rng: Random) -> Rule:
    """Each dot casts a shadow of one colour on the empty cell beside it."""
    down, right = rng.choice([(1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)])
    dark = pick_colour(rng)

    def draw() -> Grid:
        cells = empty(rng, 4, 10)
        scatter(rng, cells, pick_colours(rng, 2, but=[dark]), rng.randint(2, 6), apart=True)
        return cells

    def apply(cells: Grid) -> Grid:
        return np.where((cells == 0) & (moved(cells, down, right) > 0), dark, cells)

    return Rule(draw, apply)


@family("two_ways", concept="move")
def two_ways(rng: Random) -> Rule:
    """Dots of one colour take a step in one direction, those of another colour in another."""
    steps = dict(zip(pick_colours(rng, 2), rng.sample(list(STEPS.values()), 2), strict=True))

    def draw() -> Grid:
        while True:
            cells = empty(rng, 5, 10)
            for colour in steps:
                scatter(rng, cells, [colour], rng.randint(1, 3), apart=True)
            if (apply(cells) > 0).sum() == (cells > 0).sum():  # none leaves or covers another
                return cells

    def apply(cells: Grid) -> Grid:
        layers = [moved(np.where(cells == c, cells, 0), *step) for c, step in steps.items()]
        result: Grid = np.max(layers, axis=0)
        return result

    return Rule(draw, apply)


def _slid(cells: Grid) -> Grid:
    """The shape as a whole, moved down as far as it goes."""
    return moved(cells, len(cells) - bounds(cells > 0)[0].stop, 0)


@family("slide_to_border", concept="move")
def slide_to_border(rng: Random) -> Rule:
    """The shape moves in one direction until it touches the border."""

    def draw() -> Grid:
        cells = empty(rng, 5, 11)
        (box,) = boxes(rng, cells[:-1], 1, 2, 4)
        cells[box.area] = motif(rng, box.height, box.width, pick_colours(rng, rng.randint(1, 2)))
        return cells

    return facing(rng, Rule(draw, _slid, rivals=[fallen]))


@family("slide_to_block", concept="move")
def slide_to_block(rng: Random) -> Rule:
    """The shape moves towards the block until it touches, from whichever side it comes."""
    block = pick_colour(rng)

    def draw() -> Grid:
        cells = np.zeros((rng.randint(6, 11), rng.randint(4, 9)), dtype=np.uint8)
        tall, wide = rng.randint(1, 3), rng.randint(2, 3)
        left = rng.randint(0, cells.shape[1] - wide)
        colours = pick_colours(rng, 1, but=[block])
        cells[:tall, left : left + wide] = motif(rng, tall, wide, colours)
        height = rng.randint(1, 2)
        top = rng.randint(tall + 1, len(cells) - height)
        cells[top : top + height, max(0, left - rng.randint(0, 1)) : left + wide] = block
        return np.rot90(cells, rng.randrange(4))

    def landed(cells: Grid) -> Grid:
        shape = np.where(cells == block, 0, cells)
        gap = bounds(cells == block)[0].start - bounds(shape > 0)[0].stop
        return np.maximum(moved(shape, gap, 0), cells - shape)

    def above(cells: Grid) -> bool:
        shape = (cells > 0) & (cells != block)
        return bool(bounds(shape)[0].stop <= bounds(cells == block)[0].start)

    def apply(cells: Grid) -> Grid:
        turns = next(k for k in range(4) if above(np.rot90(cells, k)))
        return turned(turns, landed)(cells)

    return Rule(draw, apply)


@family("roll", concept="move", held_out=True)
def roll(rng: Random) -> Rule:
    """The whole grid moves on, and what leaves on one side comes back on the other."""
    length, axis = rng.choice([-2, -1, 1, 2]), rng.randrange(2)
    return Rule(lambda: picture(rng, 4, 6), lambda cells: np.roll(cells, length, axis))
