"""Bars: columns of different height, compared and put in order."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import pick_colours
from arc.generators.family import Rule, family
from arc.grid import Grid


def _bars(rng: Random, colours: list[int], most: int = 8) -> Grid:
    """Columns that stand on the floor, all of different height."""
    width = rng.randint(3, most)
    height = rng.randint(width, width + 2)
    cells = np.zeros((height, width), dtype=np.uint8)
    for column, tall in enumerate(rng.sample(range(1, height + 1), width)):
        cells[height - tall :, column] = rng.choice(colours)
    return cells


@family("sort_bars", concept="bars")
def sort_bars(rng: Random) -> Rule:
    """The bars are put in order of height, rising or in other tasks falling."""
    sign = rng.choice([1, -1])

    def apply(cells: Grid) -> Grid:
        return cells[:, np.argsort(sign * (cells > 0).sum(axis=0), kind="stable")]

    return Rule(lambda: _bars(rng, pick_colours(rng, 3)), apply)


@family("tallest_bar", concept="bars")
def tallest_bar(rng: Random) -> Rule:
    """The tallest bar takes one colour."""
    paint, *colours = pick_colours(rng, 2)

    def apply(cells: Grid) -> Grid:
        tallest = (cells > 0).sum(axis=0).argmax()
        result = cells.copy()
        result[:, tallest][cells[:, tallest] > 0] = paint
        return result

    return Rule(lambda: _bars(rng, colours), apply)


@family("shortest_bar", concept="bars", held_out=True)
def shortest_bar(rng: Random) -> Rule:
    """Only the shortest bar stays."""

    def apply(cells: Grid) -> Grid:
        heights = (cells > 0).sum(axis=0)
        return np.where(heights == heights.min(), cells, 0)

    return Rule(lambda: _bars(rng, pick_colours(rng, 2), most=5), apply)
