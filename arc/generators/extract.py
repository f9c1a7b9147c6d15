"""Extract: one of several things becomes the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

import numpy as np

from arc.generators.drawing import (
    Mask,
    beside,
    bounds,
    boxes,
    cut,
    empty,
    noise,
    panels_of,
    parts,
    pick_colours,
    picture,
    spots,
    sprite,
    turned,
)
from arc.generators.family import Change, Rule, family
from arc.grid import Grid

Key = Callable[[Mask], int]  # of the shapes, the one with the least is meant

BY_SIZE: Mapping[str, Key] = {
    "largest": lambda part: -int(part.sum()),
    "smallest": lambda part: int(part.sum()),
}
BY_PLACE: Mapping[str, Key] = {
    "topmost": lambda part: bounds(part)[0].start,
    "leftmost": lambda part: bounds(part)[1].start,
    "lowest": lambda part: -bounds(part)[0].stop,
    "rightmost": lambda part: -bounds(part)[1].stop,
}


def _least(key: Key) -> Change:
    return lambda cells: cut(cells, min(parts(cells > 0), key=key))


OTHERWISE = [_least(key) for key in (*BY_SIZE.values(), *BY_PLACE.values())]


def _extract(rng: Random, keys: Mapping[str, Key]) -> Rule:
    """By one of the keys, settled for the task; every other key is a reading to refute."""
    name = rng.choice(list(keys))
    others = [key for other, key in {**BY_SIZE, **BY_PLACE}.items() if other != name]

    def draw() -> Grid:
        while True:
            cells = empty(rng, 6, 12)
            places = boxes(rng, cells, rng.randint(2, 4), 1, 4)
            for box, colour in zip(places, pick_colours(rng, len(places)), strict=True):
                cells[box.area][sprite(rng, box.height, box.width)] = colour
            ranks = sorted(map(keys[name], parts(cells > 0)))
            if len(ranks) > 1 and ranks[0] < ranks[1]:
                return cells

    return Rule(draw, _least(keys[name]), rivals=[_least(key) for key in others])


@family("extract_by_size", concept="extract")
def extract_by_size(rng: Random) -> Rule:
    """The largest shape is cut out, or in other tasks the smallest."""
    return _extract(rng, BY_SIZE)


@family("extract_by_place", concept="extract")
def extract_by_place(rng: Random) -> Rule:
    """The shape that lies highest is cut out, or in other tasks lowest, or most to one side."""
    return _extract(rng, BY_PLACE)


@family("odd_shape_out", concept="extract")
def odd_shape_out(rng: Random) -> Rule:
    """All shapes are alike but one, and that one is cut out."""

    def draw() -> Grid:
        while True:
            side = rng.randint(2, 3)
            odd, common = sprite(rng, side, side), sprite(rng, side, side)
            cells = empty(rng, 7, 12)
            places = spots(rng, cells, [(side, side)] * rng.randint(3, 4))
            colours = pick_colours(rng, len(places))
            for box, colour in zip(places, colours, strict=True):
                cells[box.area][common if box is not places[0] else odd] = colour
            if len(places) > 2 and (odd != common).any():
                return cells

    def apply(cells: Grid) -> Grid:
        pieces = [cut(cells, part) for part in parts(cells > 0)]
        return _alone(pieces, [str(piece > 0) for piece in pieces])

    return Rule(draw, apply, OTHERWISE)


def _alone(pieces: Sequence[Grid], looks: Sequence[str]) -> Grid:
    """The one piece whose look no other has."""
    (found,) = (p for p, look in zip(pieces, looks, strict=True) if looks.count(look) == 1)
    return found


@family("odd_colour_out", concept="extract")
def odd_colour_out(rng: Random) -> Rule:
    """All shapes have one colour but one, and that one is cut out."""

    def draw() -> Grid:
        while True:
            cells = empty(rng, 7, 12)
            odd, common = pick_colours(rng, 2)
            places = boxes(rng, cells, rng.randint(3, 5), 1, 4)
            for box in places:
                shape = sprite(rng, box.height, box.width)
                cells[box.area][shape] = odd if box is places[0] else common
            if len(places) > 2:
                return cells

    def apply(cells: Grid) -> Grid:
        pieces = [cut(cells, part) for part in parts(cells > 0)]
        return _alone(pieces, [str(piece.max()) for piece in pieces])

    return Rule(draw, apply, OTHERWISE)


@family("pick_panel", concept="extract")
def pick_panel(rng: Random) -> Rule:
    """Of the panels between lines the fullest is kept, or in other tasks the emptiest."""
    line, sign, turns = *pick_colours(rng, 1), rng.choice([1, -1]), rng.randrange(2)

    def filled(panel: Grid) -> int:
        return sign * int((panel > 0).sum())

    def draw() -> Grid:
        height, width = rng.randint(2, 6), rng.randint(2, 4)
        count = rng.randint(2, 3)
        while True:
            blank = [np.zeros((height, width), dtype=np.uint8) for _ in range(count)]
            panels = [noise(rng, p, pick_colours(rng, 1, but=[line]), low=0.1) for p in blank]
            first, second, *_ = sorted(map(filled, panels), reverse=True)
            if first > second:
                return np.rot90(beside(panels, line), -turns)

    def at(place: int) -> Change:
        return turned(turns, lambda cells: panels_of(cells, line)[place])

    apply = turned(turns, lambda cells: max(panels_of(cells, line), key=filled))
    return Rule(draw, apply, rivals=[at(0), at(-1)])


@family("find_tile", concept="extract")
def find_tile(rng: Random) -> Rule:
    """The grid repeats one piece, and that piece is cut out."""

    def draw() -> Grid:
        repeats = rng.choice([(1, 3), (3, 1), (2, 2), (2, 3), (3, 2), (3, 3)])
        return np.tile(picture(rng, 2, 4), repeats)

    def apply(cells: Grid) -> Grid:
        height, width = (_period(side) for side in (cells, cells.T))
        return cells[:height, :width]

    return Rule(draw, apply)


def _period(cells: Grid) -> int:
    """After how many rows all rows come again."""
    divisors = [p for p in range(1, len(cells) + 1) if len(cells) % p == 0]
    return next(p for p in divisors if (cells[p:] == cells[:-p]).all())
