"""Augmentations: chains of steps (arc/steps.py), each with a name from which it can be replayed.

    rot90+colours:0213456789+demos:2,0,1

turns every grid by 90 degrees (counter-clockwise, as numpy does), swaps colours 1 and 2, and shows
demo 2 first. Steps act from left to right, on inputs and outputs alike.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass

from arc.grid import COLOURS, MAX_SIDE, Grid
from arc.steps import SPELLINGS, SYMMETRIES, Shape, Step, step_of
from arc.task import Pair, Task
from hone.errors import BadInput


@dataclass(frozen=True)
class Augmentation:
    """Steps that act from left to right; `parse(name)` gives an equal augmentation."""

    steps: tuple[Step, ...] = ()

    @property
    def name(self) -> str:
        return "+".join(step.name for step in self.steps) or "identity"

    @property
    def invertible(self) -> bool:
        """Whether every grid that is written under it can be turned back."""
        return all(step.invertible for step in self.steps)

    def grid(self, cells: Grid) -> Grid:
        for step in self.steps:
            cells = step.grid(cells)
        return cells

    def invert(self, cells: Grid) -> Grid:
        """The grid that `grid` would have turned into `cells`; refused if not `invertible`."""
        for step in reversed(self.steps):
            cells = step.invert(cells)
        return cells

    def apply(self, task: Task) -> Task:
        """The task under this augmentation; its id stays."""
        train = task.train
        for step in self.steps:
            train = step.order(train)
        return dataclasses.replace(
            task,
            train=tuple(map(self._pair, train)),
            test=tuple(map(self._pair, task.test)),
            look=self.name if task.look == "identity" else f"{task.look}+{self.name}",
        )

    def shape(self, before: Shape) -> Shape:
        """The shape of what a grid of shape `before` becomes."""
        for step in self.steps:
            before = step.shape(before)
        return before

    def fits(self, task: Task) -> bool:
        """Whether no grid of the task becomes too large."""
        pairs = (*task.train, *task.test)
        grids = [
            cells for pair in pairs for cells in (pair.input, pair.output) if cells is not None
        ]
        return all(max(self.shape(cells.shape)) <= MAX_SIDE for cells in grids)

    def then(self, other: Augmentation) -> Augmentation:
        return Augmentation(self.steps + other.steps)

    @classmethod
    def parse(cls, name: str) -> Augmentation:
        """The augmentation of this name."""
        words = [word for word in name.split("+") if word != "identity"]
        return cls(tuple(_step(word, name) for word in words))

    def _pair(self, pair: Pair) -> Pair:
        return Pair(self.grid(pair.input), None if pair.output is None else self.grid(pair.output))


IDENTITY = Augmentation()


def symmetry(name: str) -> Augmentation:
    """The augmentation that is one of SYMMETRIES."""
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
    """A symmetry, a colour permutation and an order of `demos` demos."""
    turn = symmetry(rng.choice(SYMMETRIES))
    return turn.then(random_permutation(rng, demos, keep_zero=keep_zero))


def random_permutation(rng: random.Random, demos: int, *, keep_zero: bool = True) -> Augmentation:
    """A colour permutation and an order of `demos` demos, without those that change nothing. With
    `keep_zero`, colour 0, the usual background, stays."""
    kept = [0] if keep_zero else []
    new = kept + rng.sample(range(len(kept), COLOURS), COLOURS - len(kept))
    places = rng.sample(range(demos), demos)
    permuted = IDENTITY if new == list(range(COLOURS)) else colours(new)
    return permuted if places == list(range(demos)) else permuted.then(demo_order(places))


def _step(word: str, name: str) -> Step:
    step = step_of(word)
    if step is None:
        raise BadInput(f"augmentation {name!r}: {word!r} is not a step; steps are {SPELLINGS}")
    return step
