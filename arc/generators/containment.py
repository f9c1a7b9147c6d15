"""Containment: inside and outside, open and closed, filled and hollow."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np

from arc.generators.drawing import (
    Box,
    Mask,
    bounds,
    boxes,
    empty,
    enclosed,
    filled,
    largest_first,
    parts,
    pick_colour,
    pick_colours,
    scatter,
)
from arc.generators.family import Change, Rule, family
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

    return Rule(draw, apply, rivals=[lambda cells: np.where(cells == dot, np.uint8(paint), cells)])


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

    return Rule(draw, lambda cells: filled(cells, enclosed(cells != line)))


@family("closed_or_open", concept="containment", held_out=True)
def closed_or_open(rng: Random) -> Rule:
    """Outlines without a gap take another colour, or in other tasks those with one."""
    line, paint = pick_colours(rng, 2)
    closed = rng.random() < 0.5

    def draw() -> Grid:
        cells = empty(rng, 6, 8)
        for box in boxes(rng, cells, 3, 3, 5):
            _outline(cells, box, line)
            if rng.random() < 0.5:
                _open(rng, cells, box)
        return cells

    def apply(cells: Grid) -> Grid:
        return _painted(cells, [p for p in _large(cells) if _is_closed(p) == closed], paint)

    return Rule(draw, apply, _cruder(paint))


def _open(rng: Random, cells: Grid, box: Box) -> None:
    cells[box.area][rng.choice([(0, 1), (1, 0), (-1, 1), (1, -1)])] = 0


def _is_closed(part: Mask) -> bool:
    return bool(enclosed(~part[bounds(part)]))


def _large(cells: Grid) -> list[Mask]:
    """Shapes that have an inside."""
    return [part for part in parts(cells > 0) if min(part[bounds(part)].shape) > 2]


def _painted(cells: Grid, things: Sequence[Mask], paint: int) -> Grid:
    result = cells.copy()
    for thing in things:
        result[thing] = paint
    return result


def _cruder(paint: int) -> list[Change]:
    """Readings by which all shapes are painted, or the largest, all but it, or the smallest."""
    return [
        lambda cells: _painted(cells, parts(cells > 0), paint),
        lambda cells: _painted(cells, largest_first(cells > 0)[1:], paint),
        lambda cells: _painted(cells, largest_first(cells > 0)[:1], paint),
        lambda cells: _painted(cells, largest_first(cells > 0)[-1:], paint),
    ]


@family("filled_or_hollow", concept="containment")
def filled_or_hollow(rng: Random) -> Rule:
    """Solid boxes take a colour or go, or in other tasks hollow ones, open or closed."""
    paint, solid = rng.choice([0, pick_colour(rng)]), rng.random() < 0.5

    def draw() -> Grid:
        cells = empty(rng, 6, 13)
        for box in boxes(rng, cells, rng.randint(2, 4), 3, 5):
            kind, line = rng.choice(["solid", "closed", "open"]), pick_colour(rng, but=[paint])
            _outline(cells, box, line)
            if kind == "solid":
                cells[box.area] = line
            if kind == "open":
                _open(rng, cells, box)
        return cells

    def is_solid(part: Mask) -> bool:
        return bool(part[bounds(part)][1:-1, 1:-1].all())

    def apply(cells: Grid) -> Grid:
        return _painted(cells, [p for p in _large(cells) if is_solid(p) == solid], paint)

    def by_gaps(cells: Grid) -> Grid:
        return _painted(cells, [p for p in _large(cells) if _is_closed(p) != solid], paint)

    return Rule(draw, apply, [by_gaps, *_cruder(paint)])
