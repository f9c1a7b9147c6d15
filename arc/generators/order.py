"""Order: shapes that rank by size."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import Mask, boxes, empty, largest_first, parts, pick_colours, sprite
from arc.generators.family import Rule, family
from arc.grid import Grid


def _unequal(rng: Random, colours: list[int]) -> Grid:
    """A shape in each of the colours, all of different size."""
    while True:
        cells = empty(rng, 6, 11)
        for box, colour in zip(boxes(rng, cells, len(colours), 1, 4), colours, strict=False):
            cells[box.area][sprite(rng, box.height, box.width)] = colour
        sizes = {int(part.sum()) for part in parts(cells > 0)}
        if len(sizes) == len(colours):
            return cells


@family("rank_by_size", concept="order")
def rank_by_size(rng: Random) -> Rule:
    """The colours of the shapes in a line, the largest first, or in other tasks last."""
    step, standing = rng.choice([1, -1]), rng.random() < 0.5

    def listed(cells: Grid, ranked: list[Mask]) -> Grid:
        colours = np.array([cells[part][0] for part in ranked[::step]])
        return colours.reshape(-1, 1) if standing else colours.reshape(1, -1)

    return Rule(
        lambda: _unequal(rng, pick_colours(rng, rng.randint(2, 4))),
        lambda cells: listed(cells, largest_first(cells > 0)),
        rivals=[lambda cells: listed(cells, parts(cells > 0))],
    )


@family("colour_by_rank", concept="order")
def colour_by_rank(rng: Random) -> Rule:
    """Shapes of one colour take three others: the largest, the one between, the smallest."""
    raw, *paints = pick_colours(rng, 4)

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part, paint in zip(largest_first(cells > 0), paints, strict=True):
            result[part] = paint
        return result

    return Rule(lambda: _unequal(rng, [raw] * 3), apply)


@family("mark_extreme", concept="order")
def mark_extreme(rng: Random) -> Rule:
    """Of several shapes the largest takes a colour, or in other tasks the smallest."""
    raw, paint = pick_colours(rng, 2)
    place = rng.choice([0, -1])

    def apply(cells: Grid) -> Grid:
        return np.where(largest_first(cells > 0)[place], np.uint8(paint), cells)

    return Rule(lambda: _unequal(rng, [raw] * rng.randint(2, 4)), apply)
