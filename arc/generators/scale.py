"""Scale: every cell becomes a block, or every block a cell."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import noise, pick_colours, picture
from arc.generators.family import Rule, family
from arc.grid import Grid


def _blown_up(cells: Grid, factor: int) -> Grid:
    return cells.repeat(factor, axis=0).repeat(factor, axis=1)


@family("upscale", concept="scale")
def upscale(rng: Random) -> Rule:
    """Every cell becomes a block of two by two, or in other tasks of three by three."""
    factor = rng.choice([2, 2, 3])
    high = 12 // factor
    return Rule(lambda: picture(rng, 2, high), lambda cells: _blown_up(cells, factor))


@family("downscale", concept="scale")
def downscale(rng: Random) -> Rule:
    """Every block becomes one cell."""
    factor = rng.choice([2, 2, 3])
    high = 12 // factor
    return Rule(
        lambda: _blown_up(picture(rng, 2, high), factor), lambda cells: cells[::factor, ::factor]
    )


@family("scale_by_colours", concept="scale")
def scale_by_colours(rng: Random) -> Rule:
    """Every cell becomes a block with a side of as many cells as there are colours."""

    def draw() -> Grid:
        cells = np.zeros((rng.randint(2, 3), rng.randint(2, 3)), dtype=np.uint8)
        return noise(rng, cells, pick_colours(rng, rng.randint(2, 4)))

    def apply(cells: Grid) -> Grid:
        return _blown_up(cells, len(np.unique(cells[cells > 0])))

    return Rule(draw, apply, [lambda cells: _blown_up(cells, 2), lambda cells: _blown_up(cells, 3)])


@family("fractal", concept="scale")
def fractal(rng: Random) -> Rule:
    """The picture stands in the place of each of its coloured cells, or of its empty ones."""
    coloured = rng.random() < 0.5

    def draw() -> Grid:
        cells = np.zeros((rng.randint(2, 3), rng.randint(2, 4)), dtype=np.uint8)
        return np.rot90(noise(rng, cells, pick_colours(rng, rng.randint(1, 2))), rng.randrange(2))

    return Rule(draw, lambda cells: np.kron((cells > 0) == coloured, cells))


@family("stretch", concept="scale", held_out=True)
def stretch(rng: Random) -> Rule:
    """Every cell doubles in one direction only."""
    axis = rng.randrange(2)
    return Rule(lambda: picture(rng, 2, 4), lambda cells: np.repeat(cells, 2, axis=axis))
