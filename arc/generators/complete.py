"""Complete: what is missing, from what is left."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import (
    Mask,
    bounds,
    boxes,
    empty,
    noise,
    pick_colour,
    pick_colours,
    picture,
)
from arc.generators.family import Change, Rule, family
from arc.grid import Grid

MIRRORS: dict[str, list[Change]] = {
    "left and right": [np.fliplr],
    "top and bottom": [np.flipud],
    "both ways": [np.fliplr, np.flipud, lambda cells: np.rot90(cells, 2)],
}
PIECES = sorted(
    [(height, width) for height in range(1, 5) for width in range(1, 5)], key=lambda p: p[0] * p[1]
)


@family("complete_symmetry", concept="complete")
def complete_symmetry(rng: Random) -> Rule:
    """A patch hides part of a symmetric picture: the picture whole, or in other tasks the part."""
    patch, mirrors = pick_colour(rng), rng.choice(list(MIRRORS.values()))
    whole = rng.random() < 0.5

    def draw() -> Grid:
        while True:
            cells = noise(rng, empty(rng, 5, 12), pick_colours(rng, 3, but=[patch]), low=0.5)
            for mirror in mirrors[:2]:
                half = np.indices(cells.shape)[0 if mirror is np.flipud else 1]
                cells = np.where(half < mirror(half), cells, mirror(cells))
            (box,) = boxes(rng, cells, 1, 2, 4)
            cells[box.area] = patch
            if (_seen_in(cells, patch, mirrors) != patch).all():
                return cells

    def apply(cells: Grid) -> Grid:
        return shown(cells, mirrors)

    def shown(cells: Grid, by: list[Change]) -> Grid:
        seen = _seen_in(cells, patch, by)
        return seen if whole else seen[bounds(cells == patch)]

    rivals: list[Change] = [lambda c: shown(c, mirrors[:1]), lambda c: shown(c, mirrors[1:2])]
    return Rule(draw, apply, rivals if len(mirrors) > 1 else [])


def _seen_in(cells: Grid, patch: int, mirrors: list[Change]) -> Grid:
    """The picture with what the mirrors show of the patch's place."""
    for mirror in mirrors:
        cells = np.where(cells == patch, mirror(cells), cells)
    return cells


@family("mend_pattern", concept="complete")
def mend_pattern(rng: Random) -> Rule:
    """A repeating pattern has holes, which are mended."""
    hole = rng.choice([0, pick_colour(rng)])

    def draw() -> Grid:
        while True:
            height, width = rng.randint(2, 3), rng.randint(2, 3)
            tile = np.zeros((height, width), dtype=np.uint8)
            noise(rng, tile, pick_colours(rng, 3, but=[hole]), low=1, high=1)
            rows, columns = np.indices((rng.randint(6, 11), rng.randint(6, 11)))
            full = tile[rows % height, columns % width]
            cells = full.copy()
            for box in boxes(rng, cells, rng.randint(1, 2), 1, 4):
                cells[box.area] = hole
            if (apply(cells) == full).all():
                return cells

    def apply(cells: Grid) -> Grid:
        for height, width in PIECES:
            tile = _piece(cells, cells == hole, height, width)
            if tile is not None:
                rows, columns = np.indices(cells.shape)
                whole: Grid = tile[rows % height, columns % width]
                return whole
        return cells

    return Rule(draw, apply)


def _piece(cells: Grid, hole: Mask, height: int, width: int) -> Grid | None:
    """The piece of that size which the cells outside the holes repeat, if they do."""
    tile = np.zeros((height, width), dtype=np.uint8)
    for row, column in np.ndindex(height, width):
        seen = cells[row::height, column::width][~hole[row::height, column::width]]
        if not seen.size or (seen != seen[0]).any():
            return None
        tile[row, column] = seen[0]
    return tile


@family("complete_outlines", concept="complete")
def complete_outlines(rng: Random) -> Rule:
    """Broken outlines are closed."""

    def draw() -> Grid:
        cells = empty(rng, 6, 13)
        places = boxes(rng, cells, rng.randint(1, 3), 4, 7)
        for box, colour in zip(places, pick_colours(rng, len(places)), strict=True):
            window = cells[box.area]
            window[:] = colour
            window[1:-1, 1:-1] = 0
            for _ in range(rng.randint(1, 4)):
                inner = rng.randint(1, min(box.height, box.width) - 2)
                window[rng.choice([(0, inner), (-1, inner), (inner, 0), (inner, -1)])] = 0
        return cells

    def apply(cells: Grid) -> Grid:
        result = cells.copy()
        for colour in np.unique(cells[cells > 0]):
            window = result[bounds(cells == colour)]
            window[[0, -1]] = colour
            window[:, [0, -1]] = colour
        return result

    return Rule(draw, apply)


@family("kaleidoscope", concept="complete")
def kaleidoscope(rng: Random) -> Rule:
    """The grid and its mirror images make a picture that is symmetric both ways."""
    turns = rng.randrange(4)

    def apply(cells: Grid) -> Grid:
        upper = np.hstack([cells, cells[:, ::-1]])
        return np.vstack([upper, upper[::-1]])

    return Rule(lambda: picture(rng, 2, 6), lambda cells: _from_corner(apply, cells, turns))


def _from_corner(change: Change, cells: Grid, turns: int) -> Grid:
    """The change with the grid in another corner than the first."""
    flips: list[Change] = [lambda c: c, np.fliplr, np.flipud, lambda c: np.rot90(c, 2)]
    return change(flips[turns](cells))
