"""What families draw with: colours, scattered cells, boxes, sprites, rays and connected parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from arc.grid import COLOURS, Grid

Mask = npt.NDArray[np.bool_]
STEPS = {"down": (1, 0), "right": (0, 1), "up": (-1, 0), "left": (0, -1)}
DIAGONALS = {"down right": (1, 1), "down left": (1, -1), "up right": (-1, 1), "up left": (-1, -1)}


@dataclass(frozen=True)
class Box:
    top: int
    left: int
    height: int
    width: int

    @property
    def area(self) -> tuple[slice, slice]:
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


def pick_colours(rng: Random, count: int, *, but: Sequence[int] = ()) -> list[int]:
    """Different colours, never the background 0 nor one of `but`."""
    return rng.sample([c for c in range(1, COLOURS) if c not in but], count)


def pick_colour(rng: Random, *, but: Sequence[int] = ()) -> int:
    return pick_colours(rng, 1, but=but)[0]


def empty(rng: Random, low: int = 4, high: int = 7) -> Grid:
    """A background to draw on, each side from `low` to `high`."""
    return np.zeros((rng.randint(low, high), rng.randint(low, high)), dtype=np.uint8)


def scatter(
    rng: Random, cells: Grid, colours: Sequence[int], count: int, *, apart: bool = False
) -> None:
    """Colour up to `count` empty cells; with `apart`, none beside another coloured cell."""
    for _ in range(count):
        free = cells == 0
        if apart:
            free &= ~near(cells > 0)
        places = np.argwhere(free).tolist()
        if not places:
            return
        row, column = rng.choice(places)
        cells[row, column] = rng.choice(colours)


def noise(
    rng: Random, cells: Grid, colours: Sequence[int], *, low: float = 0.3, high: float = 0.8
) -> Grid:
    """Scatter over a share of the grid from `low` to `high`; every colour appears."""
    for colour in colours:
        scatter(rng, cells, [colour], 1)
    wanted = round(rng.uniform(low, high) * cells.size) - len(colours)
    scatter(rng, cells, colours, max(0, wanted))
    return cells


def picture(rng: Random, low: int = 3, high: int = 6) -> Grid:
    """A small grid of two to four colours, dense enough to have a look of its own."""
    return noise(rng, empty(rng, low, high), pick_colours(rng, rng.randint(2, 4)), low=0.4)


def boxes(rng: Random, cells: Grid, count: int, low: int, high: int) -> list[Box]:
    """Up to `count` places for things of sides `low` to `high` that do not touch; at least one."""
    height, width = cells.shape
    taken = _nothing_taken(cells)
    found: list[Box] = []
    for _ in range(30 * count):
        tall, wide = rng.randint(low, min(high, height)), rng.randint(low, min(high, width))
        box = Box(rng.randint(0, height - tall), rng.randint(0, width - wide), tall, wide)
        if _take(taken, box):
            found.append(box)
        if len(found) == count:
            break
    return found


def spots(rng: Random, cells: Grid, sizes: Sequence[tuple[int, int]]) -> list[Box]:
    """Places for things of these sizes that do not touch; what finds no room is left out."""
    height, width = cells.shape
    taken = _nothing_taken(cells)
    found: list[Box] = []
    for tall, wide in sizes:
        for _ in range(30 if tall <= height and wide <= width else 0):
            box = Box(rng.randint(0, height - tall), rng.randint(0, width - wide), tall, wide)
            if _take(taken, box):
                found.append(box)
                break
    return found


def _nothing_taken(cells: Grid) -> Mask:
    """A mask of the grid with a margin on every side."""
    return np.zeros((cells.shape[0] + 2, cells.shape[1] + 2), dtype=bool)


def _take(taken: Mask, box: Box) -> bool:
    """Take the place, if nothing is there or beside it."""
    around = taken[box.top : box.top + box.height + 2, box.left : box.left + box.width + 2]
    if around.any():
        return False
    around[1:-1, 1:-1] = True
    return True


def sprite(rng: Random, height: int, width: int) -> Mask:
    """A connected shape that reaches all four sides of its box."""
    shape = np.zeros((height, width), dtype=bool)
    shape[rng.randrange(height), rng.randrange(width)] = True
    while not (shape[0].any() and shape[-1].any() and shape[:, 0].any() and shape[:, -1].any()):
        row, column = rng.choice(np.argwhere(near(shape, diagonally=False) & ~shape).tolist())
        shape[row, column] = True
    return shape


def motif(rng: Random, height: int, width: int, colours: Sequence[int]) -> Grid:
    """A sprite whose every cell has one of the colours."""
    cells = np.zeros((height, width), dtype=np.uint8)
    for row, column in np.argwhere(sprite(rng, height, width)):
        cells[row, column] = rng.choice(colours)
    return cells


def moved(cells: Grid, down: int, right: int) -> Grid:
    """Everything a few cells further; what leaves the grid is gone."""
    result = np.zeros_like(cells)
    height, width = cells.shape
    result[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = cells[
        max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
    ]
    return result


def rays(cells: Grid, steps: Sequence[tuple[int, int]]) -> Grid:
    """Every coloured cell sends its colour over empty cells to the border, along each step."""
    result = cells.copy()
    for down, right in steps:
        for length in range(1, max(cells.shape)):
            if abs(down) * length < cells.shape[0] and abs(right) * length < cells.shape[1]:
                ray = moved(cells, down * length, right * length)
                result = np.where(result == 0, ray, result)
    return result


def near(mask: Mask, *, diagonally: bool = True) -> Mask:
    """The cells that have a neighbour in the mask."""
    steps = [*STEPS.values(), *(DIAGONALS.values() if diagonally else ())]
    cells = mask.astype(np.uint8)
    found: Mask = np.any([moved(cells, *step) for step in steps], axis=0)
    return found


def parts(mask: Mask) -> list[Mask]:
    """The connected parts of a mask (not across corners), from top left on."""
    left = dict.fromkeys((row, column) for row, column in np.argwhere(mask).tolist())
    found = []
    while left:
        reached = [next(iter(left))]
        del left[reached[0]]
        for row, column in reached:  # grows while it is walked
            for down, right in STEPS.values():
                place = (row + down, column + right)
                if place in left:
                    del left[place]
                    reached.append(place)
        part = np.zeros_like(mask)
        part[tuple(np.transpose(reached))] = True
        found.append(part)
    return found


def largest_first(mask: Mask) -> list[Mask]:
    """The connected parts of a mask by size; of one size, as they come from the top."""
    return sorted(parts(mask), key=np.sum, reverse=True)


def enclosed(mask: Mask) -> list[Mask]:
    """The connected parts of a mask that do not reach the edge of the grid."""
    edge = np.ones_like(mask)
    edge[1:-1, 1:-1] = False
    return [part for part in parts(mask) if not (part & edge).any()]


def bounds(mask: Mask) -> tuple[slice, slice]:
    """The smallest box that holds the mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def filled(cells: Grid, rooms: Sequence[Mask]) -> Grid:
    """Each room in the colour of what lies in it; of several, the last colour."""
    result = cells.copy()
    for room in rooms:
        result[room] = cells[room].max()
    return result


def cut(cells: Grid, mask: Mask) -> Grid:
    """What the mask covers, as a grid of its own."""
    return np.where(mask, cells, 0)[bounds(mask)]


def beside(panels: Sequence[Grid], line: int) -> Grid:
    """Panels of one height from left to right, with a line between them."""
    upright = np.full((panels[0].shape[0], 1), line, dtype=np.uint8)
    spaced = [part for panel in panels for part in (upright, panel)]
    return np.hstack(spaced[1:])


def panels_of(cells: Grid, line: int) -> list[Grid]:
    """What stands between the lines, from left to right."""
    lines = np.flatnonzero((cells == line).all(axis=0))
    pieces = np.split(cells, lines, axis=1)
    return [pieces[0], *(piece[:, 1:] for piece in pieces[1:])]


def turned(turns: int, change: Callable[[Grid], Grid]) -> Callable[[Grid], Grid]:
    """The same change seen from another side: quarter turns before, and back after."""
    return lambda cells: np.rot90(change(np.rot90(cells, turns)), -turns)


def coloured(mask: Mask, colour: int) -> Grid:
    """The mask in one colour, on the background."""
    return mask * np.uint8(colour)
