"""Scale: every cell becomes a block, or every block a cell."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import picture
from arc.generators.family import Rule, family
from arc.grid import Grid


def _blown_up(cells: Grid, factor: int) -> Grid:
    return cells.repeat(factor, axis=0).repeat(factor, axis=1)


@family("upscale", concept="scale")
def upscale(rng: Random) -> Rule:
    """Every cell becomes a block of two by two, or in other tasks of three by three."""
    factor = rng.choice([2, 2, 3])
    high = 4 if factor == 2 else 3
    return Rule(lambda: picture(rng, 2, high), lambda cells: _blown_up(cells, factor))


@family("downscale", concept="scale")
def downscale(rng: Random) -> Rule:
    """Every block becomes one cell."""
    factor = rng.choice([2, 2, 3])
    high = 4 if factor == 2 else 3
    return Rule(
        lambda: _blown_up(picture(rng, 2, high), factor), lambda cells: cells[::factor, ::factor]
    )


@family("stretch", concept="scale", held_out=True)
def stretch(rng: Random) -> Rule:
    """Every cell doubles in one direction only."""
    axis = rng.randrange(2)
    return Rule(lambda: picture(rng, 2, 4), lambda cells: np.repeat(cells, 2, axis=axis))
