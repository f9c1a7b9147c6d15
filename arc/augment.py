"""Augmentations: chains of invertible steps, spelled in a name from which they can be replayed.

    rot90+colours:0213456789+demos:2,0,1

turns every grid by 90 degrees (counter-clockwise, as numpy does), swaps colours 1 and 2, and shows
demo 2 first. Steps act from left to right. The eight symmetries of the square cover every rotation
and every horizontal and vertical flip; `colours:` lists the new colour of 0, 1, ... 9.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from arc.grid import COLOURS, Grid, frozen
from arc.task import Pair, Task
from hone.errors import BadInput

T = TypeVar("T")

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


class Step(Protocol):
    @property
    def name(self) -> str: ...

    def grid(self, cells: Grid) -> Grid: ...

    def invert(self, cells: Grid) -> Grid: ...

    def order(self, demos: tuple[T, ...]) -> tuple[T, ...]: ...


@dataclass(frozen=True)
class _Turn:
    name: str

    def grid(self, cells: Grid) -> Grid:
        return frozen(_TURNS[self.name][0](cells))

    def invert(self, cells: Grid) -> Grid:
        return _Turn(_TURNS[self.name][1]).grid(cells)

    def order(self, demos: tuple[T, ...]) -> tuple[T, ...]:
        return demos


@dataclass(frozen=True)
class _Colours:
    new: tuple[int, ...]  # new[c] is what colour c becomes

    @property
    def name(self) -> str:
        return "colours:" + "".join(map(str, self.new))

    def grid(self, cells: Grid) -> Grid:
        return frozen(np.array(self.new, dtype=np.uint8)[cells])

    def invert(self, cells: Grid) -> Grid:
        return frozen(np.argsort(self.new).astype(np.uint8)[cells])

    def order(self, demos: tuple[T, ...]) -> tuple[T, ...]:
        return demos


@dataclass(frozen=True)
class _Demos:
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
class Augmentation:
    """Steps from left to right; `parse(name)` gives an equal one."""

    steps: tuple[Step, ...] = ()

    @property
    def name(self) -> str:
        return "+".join(step.name for step in self.steps) or "identity"

    def grid(self, cells: Grid) -> Grid:
        for step in self.steps:
            cells = step.grid(cells)
        return cells

    def invert(self, cells: Grid) -> Grid:
        """The grid that `grid` would have turned into `cells`."""
        for step in reversed(self.steps):
            cells = step.invert(cells)
        return cells

    def apply(self, task: Task) -> Task:
        """The task in its new look; the id stays."""
        train = task.train
        for step in self.steps:
            train = step.order(train)
        return dataclasses.replace(
            task,
            train=tuple(map(self._pair, train)),
            test=tuple(map(self._pair, task.test)),
            look=self.name if task.look == "identity" else f"{task.look}+{self.name}",
        )

    def then(self, other: Augmentation) -> Augmentation:
        return Augmentation(self.steps + other.steps)

    @classmethod
    def parse(cls, name: str) -> Augmentation:
        """The augmentation that spells itself `name`."""
        return cls(tuple(step for word in name.split("+") for step in _steps(word, name)))

    def _pair(self, pair: Pair) -> Pair:
        return Pair(self.grid(pair.input), None if pair.output is None else self.grid(pair.output))


IDENTITY = Augmentation()


def symmetry(name: str) -> Augmentation:
    """One of SYMMETRIES."""
    if name not in SYMMETRIES:
        raise BadInput(f"no symmetry {name!r}; there are: {', '.join(SYMMETRIES)}")
    return Augmentation.parse(name)


def colours(new: Sequence[int]) -> Augmentation:
    """Colour c becomes `new[c]`."""
    return Augmentation.parse("colours:" + "".join(map(str, new)))


def demo_order(places: Sequence[int]) -> Augmentation:
    """The demo at `places[0]` comes first."""
    return Augmentation.parse("demos:" + ",".join(map(str, places)))


def random_augmentation(rng: random.Random, demos: int, *, keep_zero: bool = True) -> Augmentation:
    """A symmetry, a colour permutation and an order of `demos` demos; what changes nothing goes
    unnamed. With `keep_zero` colour 0, the usual background, stays."""
    turn = symmetry(rng.choice(SYMMETRIES))
    kept = [0] if keep_zero else []
    new = kept + rng.sample(range(len(kept), COLOURS), COLOURS - len(kept))
    places = rng.sample(range(demos), demos)
    if new != list(range(COLOURS)):
        turn = turn.then(colours(new))
    return turn if places == list(range(demos)) else turn.then(demo_order(places))


def _steps(word: str, name: str) -> list[Step]:
    kind, _, rest = word.partition(":")
    if word == "identity":
        return []
    if word in SYMMETRIES:
        return [_Turn(word)]
    if kind == "colours" and sorted(rest) == list("0123456789"):
        return [_Colours(tuple(map(int, rest)))]
    if kind == "demos" and (places := _order(rest)) is not None:
        return [_Demos(places)]
    raise BadInput(
        f"augmentation {name!r}: {word!r} is not a step; steps are {', '.join(SYMMETRIES)},"
        " colours: with a permutation of 0123456789, demos: with an order such as 2,0,1"
    )


def _order(text: str) -> tuple[int, ...] | None:
    words = text.split(",")
    if sorted(words) != sorted(map(str, range(len(words)))):
        return None
    return tuple(map(int, words))
