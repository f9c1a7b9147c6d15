"""Containment: inside and outside, open and closed, filled and hollow."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import (
    Box,
    Mask,
    bounds,
    boxes,
    empty,
    enclosed,
    parts,
    pick_colour,
    pick_colours,
    scatter,
)
from arc.generators.family import Rule, family
from arc.grid import Grid


def _outline(cells: Grid, box: Box, line: int) -> Grid:
    """Draw the box's outline; what lies in it can be drawn on."""
    cells[box.area] = line
    inside = cells[box.area][1:-1, 1:-1]
    inside[:] = 0
    return inside


@family("inside_outside", concept="containment")
def inside_outside(rng: Random) -> Rule:
    """Dots inside the outlines take a colour or go, or in other tasks those outside."""
    line, dot, paint = pick_colours(rng, 3)
    paint, wanted = rng.choice([0, paint]), rng.random() < 0.5

    def draw() -> Grid:
        cells = empty(rng, 7, 13)
        for box in boxes(rng, cells, rng.randint(1, 2), 4, 6):
            scatter(rng, _outline(cells, box, line), [dot], rng.randint(1, 3))
        scatter(rng, cells, [dot], rng.randint(2, 8))
        return cells

    def apply(cells: Grid) -> Grid:
        inside: Mask = np.any(enclosed(cells != line), axis=0)
        return np.where((cells == dot) & (inside == wanted), np.uint8(paint), cells)

    return Rule(draw, apply)


@family("fill_with_dot", concept="containment")
def fill_with_dot(rng: Random) -> Rule:
    """An outline is filled with the colour of the dot that lies in it."""
    line = pick_colour(rng)

    def draw() -> Grid:
        cells = empty(rng, 6, 13)
        for box in boxes(rng, cells, rng.randint(1, 3), 4, 6):
            colours = pick_colours(rng, 1, but=[line])
            scatter(rng, _outline(cells, box, line), colours, rng.choice([0, 1, 1]))
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in enclosed(cells != line):
            result[part] = cells[part].max()
        return result

    return Rule(draw, apply)


@family("closed_or_open", concept="containment", held_out=True)
def closed_or_open(rng: Random) -> Rule:
    """Outlines without a gap take another colour, or in other tasks those with one."""
    line, paint = pick_colours(rng, 2)
    closed = rng.random() < 0.5

    def draw() -> Grid:
        cells = empty(rng, 6, 10)
        for box in boxes(rng, cells, 3, 3, 5):
            _outline(cells, box, line)
            if rng.random() < 0.5:
                row, column = rng.choice([(0, 1), (1, 0), (-1, 1), (1, -1)])
                cells[box.area][row, column] = 0
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in parts(cells == line):
            around = ~part[bounds(part)]
            if bool(enclosed(around)) == closed:
                result[part] = paint
        return result

    return Rule(draw, apply)


@family("filled_or_hollow", concept="containment")
def filled_or_hollow(rng: Random) -> Rule:
    """Solid boxes take a colour or go, or in other tasks hollow ones."""
    paint, solid = rng.choice([0, pick_colour(rng)]), rng.random() < 0.5

    def draw() -> Grid:
        cells = empty(rng, 6, 13)
        for box in boxes(rng, cells, rng.randint(2, 4), 3, 5):
            line = pick_colour(rng, but=[paint])
            if rng.random() < 0.5:
                _outline(cells, box, line)
            else:
                cells[box.area] = line
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for part in parts(cells > 0):
            if part[bounds(part)].all() == solid:
                result[part] = paint
        return result

    return Rule(draw, apply)
