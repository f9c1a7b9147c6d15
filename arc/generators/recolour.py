"""Recolour: the shapes stay, the colours change."""

from __future__ import annotations

from random import Random

import numpy as np

from arc.generators.drawing import bounds, boxes, empty, noise, parts, pick_colours, sprite
from arc.generators.family import Rule, family
from arc.grid import Grid


def _replaced(cells: Grid, changes: dict[int, int]) -> Grid:
    table = np.arange(10, dtype=np.uint8)
    table[list(changes)] = list(changes.values())
    return table[cells]


@family("recolour", concept="recolour")
def recolour(rng: Random) -> Rule:
    """One or two colours become others; the rest stays."""
    count = rng.randint(1, 2)
    *pool, bystander = pick_colours(rng, 2 * count + 1)
    changes = dict(zip(pool[:count], pool[count:], strict=True))
    swaps = {**changes, **{new: old for old, new in changes.items()}}

    def draw() -> Grid:
        others = rng.sample([bystander, *changes.values()], rng.randint(0, 2))
        return noise(rng, empty(rng, 3, 10), [*changes, *others])

    return Rule(
        draw,
        lambda cells: _replaced(cells, changes),
        rivals=[lambda cells: _replaced(cells, swaps)],
    )


@family("key_colour", concept="recolour")
def key_colour(rng: Random) -> Rule:
    """A shape takes the colour of the cell in one corner."""
    corner = rng.choice([(0, 0), (0, -1), (-1, 0), (-1, -1)])

    def draw() -> Grid:
        cells = empty(rng, 5, 11)
        key, colour = pick_colours(rng, 2)
        shape = sprite(rng, rng.randint(2, 4), rng.randint(2, 4))
        top = rng.randint(0, cells.shape[0] - shape.shape[0])
        left = rng.randint(0, cells.shape[1] - shape.shape[1])
        window = cells[top : top + shape.shape[0], left : left + shape.shape[1]]
        window[shape] = colour
        cells[corner] = key
        return cells

    def apply(cells: Grid) -> Grid:
        return np.where(cells > 0, cells[corner], 0)

    return Rule(draw, apply)


@family("spot_colour", concept="recolour")
def spot_colour(rng: Random) -> Rule:
    """A shape with a spot takes the colour of its spot; in some tasks the others go."""
    (raw,) = pick_colours(rng, 1)
    plain, otherwise = rng.sample([0, raw], 2)

    def draw() -> Grid:
        cells = empty(rng, 5, 12)
        for box in boxes(rng, cells, rng.randint(2, 4), 2, 4):
            shape = sprite(rng, box.height, box.width)
            cells[box.area][shape] = raw
            if rng.random() < 0.7:
                spot = tuple(rng.choice(np.argwhere(shape).tolist()))
                cells[box.area][spot] = pick_colours(rng, 1, but=[raw])[0]
        return cells

    def spread(cells: Grid, without: int) -> Grid:
        result = cells.copy()
        for part in parts(cells > 0):
            spots = cells[part & (cells != raw)]
            result[part] = spots[0] if len(spots) == 1 else without
        return result

    return Rule(draw, lambda c: spread(c, plain), rivals=[lambda c: spread(c, otherwise)])


@family("legend", concept="recolour")
def legend(rng: Random) -> Rule:
    """A table of two columns in the corner says which colour becomes which."""

    def draw() -> Grid:
        cells = empty(rng, 6, 12)
        known = rng.randint(1, 3)
        colours = pick_colours(rng, 2 * known)
        table, others = np.array(colours, dtype=np.uint8).reshape(-1, 2), cells[:, 3:]
        cells[:known, :2] = table
        for box in boxes(rng, others, rng.randint(1, 4), 1, 3):
            shape = sprite(rng, box.height, box.width)
            others[box.area][shape] = rng.choice(table[:, 0].tolist())
        return cells

    def apply(cells: Grid) -> Grid:
        table = cells[bounds(parts(cells > 0)[0])]
        result = _replaced(cells, dict(table.tolist()))
        result[: len(table), :2] = table
        return result

    return Rule(draw, apply)


@family("swap_colours", concept="recolour", held_out=True)
def swap_colours(rng: Random) -> Rule:
    """Two colours change places; a third may look on."""
    one, other, bystander = pick_colours(rng, 3)

    def draw() -> Grid:
        shown = [one, other, bystander] if rng.random() < 0.5 else [one, other]
        return noise(rng, empty(rng, 3, 6), shown)

    return Rule(draw, lambda cells: _replaced(cells, {one: other, other: one}))
