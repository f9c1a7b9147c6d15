"""What a model sees of a task: tokens, positions and labels, in one of two formats.

`digits` (arc/digits.py) writes grids as text for ordinary language models; `canvas` (arc/canvas.py)
gives every cell one token and a place on a 2-D canvas, for the bundled base. The folder of a base
model says which format it reads (arc/folder_format.py).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from arc.grammar import Grammar
from arc.grid import Grid
from arc.task import Task

Tokens = npt.NDArray[np.int64]
IGNORED = -100  # the label of a token that is not trained on


@dataclass(frozen=True)
class Encoded:
    """One sequence; `labels[i]` is `ids[i]` where token i counts in the loss, else IGNORED."""

    ids: Tokens
    positions: Tokens
    labels: Tokens

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def counted(self) -> int:
        return int((self.labels != IGNORED).sum())

    def all_counted(self) -> Encoded:
        """The same sequence with every token in the loss, also those of the prompt."""
        return dataclasses.replace(self, labels=self.ids)


class Cursor(Protocol):
    """Walks through an answer: `advance` takes the token just written and gives its position."""

    def advance(self, token: int) -> int: ...


class ArcFormat(Protocol):
    name: str
    stop: int  # the token that ends an answer

    def prompt(self, task: Task) -> Encoded:
        """The demos and the first test input, up to the start of the answer."""
        ...

    def example(self, task: Task, *, every_output: bool = False) -> Encoded:
        """Prompt and answer of the first test pair, with labels on the answer; with `every_output`
        also on the outputs of all demos from the second on."""
        ...

    def answer(self, cells: Grid) -> list[int]:
        """The tokens that spell a grid after its prompt, with the stop token last."""
        ...

    def cursor(self, prompt: Encoded) -> Cursor: ...

    def grammar(self, shape: tuple[int, int] | None) -> Grammar:
        """The grammar of an answer, at its start; of this shape, or of any where it is None."""
        ...

    def parse(self, tokens: list[int]) -> Grid | None:
        """The grid that a model wrote, or None where it is not a grid."""
        ...

    def show(self, token: int) -> str:
        """One token for a person to read."""
        ...

    def text(self, tokens: list[int]) -> str:
        """Many tokens as one text."""
        ...
