"""Steps: single changes of a task's look, what they do to its grids, and how they are spelled.

| step | what it does |
|---|---|
| `rot90`, `fliplr`, `transpose` ... | applies one of the eight symmetries of the square |
| `shift:1,2` | moves all cells 1 down and 2 right; what leaves on one side enters on the other |
| `colours:0213456789` | makes colour c the c-th digit, counted from 0 |
| `demos:2,0,1` | puts the demos in another order |
| `mirror:below` | puts the mirrored grid below, above, left or right of the grid |
| `scale:2,3` | makes every cell 2 high and 3 wide |
| `tile:2,3` | repeats the grid 2 times downwards and 3 times to the right |

The last three make grids larger. Most grids are not the result of any of them, so an answer that is
written under one cannot be turned back: these steps are not invertible, and `invert` refuses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeVar

import numpy as np

from arc.grid import MAX_SIDE, Grid, frozen
from hone.errors import BadInput

T = TypeVar("T")
Shape = tuple[int, ...]

_TURNS: dict[str, tuple[Callable[[Grid], Grid], str]] = {  # name: (what it does, its inverse)
    "identity": (lambda cells: cells, "identity"),
    "rot90": (lambda cells: np.rot90(cells, 1), "rot270"),
    "rot180": (lambda cells: np.rot90(cells, 2), "rot180"),
    "rot270": (lambda cells: np.rot90(cells, 3), "rot90"),
    "fliplr": (lambda cells: cells[:, ::-1], "fliplr"),
    "flipud": (lambda cells: cells[::-1], "flipud"),
    "transpose": (lambda cells: cells.T, "transpose"),
    "antitranspose": (lambda cells: cells[::-1, ::-1].T, "antitranspose"),
}
SYMMETRIES = tuple(_TURNS)
_SIDEWAYS = ("rot90", "rot270", "transpose", "antitranspose")
SIDES = {"below": (2, 1), "above": (2, 1), "right": (1, 2), "left": (1, 2)}
SPELLINGS = (
    f"{', '.join(SYMMETRIES)}, colours: with a permutation of 0123456789, demos: with an order such"
    f" as 2,0,1, shift: with rows and columns, mirror: with {', '.join(SIDES)}, scale: or tile:"
    " with factors such as 2,1"
)


class Step(ABC):
    invertible: ClassVar[bool] = True  # whether every grid is what exactly one grid becomes

    @property
    @abstractmethod
    def name(self) -> str: ...

    @abstractmethod
    def grid(self, cells: Grid) -> Grid: ...

    @abstractmethod
    def invert(self, cells: Grid) -> Grid: ...

    def shape(self, before: Shape) -> Shape:
        """The shape of what a grid of shape `before` becomes."""
        return before

    def order(self, demos: tuple[T, ...]) -> tuple[T, ...]:
        return demos


def step_of(word: str) -> Step | None:
    """The step with this spelling, or None."""
    if word in SYMMETRIES:
        return _Turn(word)
    kind, _, rest = word.partition(":")
    return _READERS[kind](rest) if kind in _READERS else None


@dataclass(frozen=True)
class _Turn(Step):
    symmetry: str

    @property
    def name(self) -> str:
        return self.symmetry

    def grid(self, cells: Grid) -> Grid:
        return frozen(_TURNS[self.symmetry][0](cells))

    def invert(self, cells: Grid) -> Grid:
        return _Turn(_TURNS[self.symmetry][1]).grid(cells)

    def shape(self, before: Shape) -> Shape:
        return before[::-1] if self.symmetry in _SIDEWAYS else before


@dataclass(frozen=True)
class _Shift(Step):
    rows: int
    columns: int

    @property
    def name(self) -> str:
        return f"shift:{self.rows},{self.columns}"

    def grid(self, cells: Grid) -> Grid:
        return frozen(np.roll(cells, (self.rows, self.columns), axis=(0, 1)))

    def invert(self, cells: Grid) -> Grid:
        return frozen(np.roll(cells, (-self.rows, -self.columns), axis=(0, 1)))


@dataclass(frozen=True)
class _Colours(Step):
    new: tuple[int, ...]  # new[c] is what colour c becomes

    @property
    def name(self) -> str:
        return "colours:" + "".join(map(str, self.new))

    def grid(self, cells: Grid) -> Grid:
        return frozen(np.array(self.new, dtype=np.uint8)[cells])

    def invert(self, cells: Grid) -> Grid:
        return frozen(np.argsort(self.new).astype(np.uint8)[cells])


@dataclass(frozen=True)
class _Demos(Step):
    places: tuple[int, ...]

    @property
    def name(self) -> str:
        return "demos:" + ",".join(map(str, self.places))

    def grid(self, cells: Grid) -> Grid:
        return cells

    def invert(self, cells: Grid) -> Grid:
        return cells

    def order(self, demos: tuple[T, ...]) -> tuple[T, ...]:
        if len(demos) != len(self.places):
            raise BadInput(f"{self.name} orders {len(self.places)} demos, there are {len(demos)}")
        return tuple(demos[place] for place in self.places)


@dataclass(frozen=True)
class _Larger(Step):
    """A step that makes grids `rows` times as high and `columns` times as wide."""

    rows: int
    columns: int
    invertible = False

    def shape(self, before: Shape) -> Shape:
        return before[0] * self.rows, before[1] * self.columns

    def grid(self, cells: Grid) -> Grid:
        height, width = self.shape(cells.shape)
        if max(height, width) > MAX_SIDE:
            raise BadInput(
                f"{self.name} makes {height} rows by {width} columns of"
                f" {cells.shape[0]} by {cells.shape[1]}; a grid has at most {MAX_SIDE} of each"
            )
        return frozen(self._enlarged(cells))

    @abstractmethod
    def _enlarged(self, cells: Grid) -> Grid: ...

    def invert(self, cells: Grid) -> Grid:
        raise BadInput(
            f"{self.name} cannot be undone: most grids are not the result of it; write answers"
            " under symmetries, shifts, colours and orders of demos"
        )


class _Scale(_Larger):
    @property
    def name(self) -> str:
        return f"scale:{self.rows},{self.columns}"

    def _enlarged(self, cells: Grid) -> Grid:
        return cells.repeat(self.rows, axis=0).repeat(self.columns, axis=1)


class _Tile(_Larger):
    @property
    def name(self) -> str:
        return f"tile:{self.rows},{self.columns}"

    def _enlarged(self, cells: Grid) -> Grid:
        return np.tile(cells, (self.rows, self.columns))


@dataclass(frozen=True)
class _Mirror(_Larger):
    side: str  # of the grid, on which its mirror image is put

    @property
    def name(self) -> str:
        return f"mirror:{self.side}"

    def _enlarged(self, cells: Grid) -> Grid:
        axis = 0 if self.rows > 1 else 1
        image = np.flip(cells, axis)
        first = self.side in ("above", "left")
        return np.concatenate((image, cells) if first else (cells, image), axis)


def _read_colours(text: str) -> Step | None:
    return _Colours(tuple(map(int, text))) if sorted(text) == list("0123456789") else None


def _read_demos(text: str) -> Step | None:
    words = text.split(",")
    if sorted(words) != sorted(map(str, range(len(words)))):
        return None
    return _Demos(tuple(map(int, words)))


def _read_mirror(text: str) -> Step | None:
    return _Mirror(*SIDES[text], text) if text in SIDES else None


def _read_two(make: Callable[[int, int], Step], allowed: range, text: str) -> Step | None:
    """A step of rows and columns, such as 1,2."""
    numbers = {str(number): number for number in allowed}  # one spelling each: not 02, not +2
    words = text.split(",")
    if len(words) != 2 or not numbers.keys() >= set(words):
        return None
    return make(numbers[words[0]], numbers[words[1]])


_READERS: dict[str, Callable[[str], Step | None]] = {  # by the word before the colon
    "colours": _read_colours,
    "demos": _read_demos,
    "mirror": _read_mirror,
    "shift": partial(_read_two, _Shift, range(MAX_SIDE)),
    "scale": partial(_read_two, _Scale, range(1, MAX_SIDE + 1)),
    "tile": partial(_read_two, _Tile, range(1, MAX_SIDE + 1)),
}
