"""The digits format: a task as text, for ordinary language models.

    Example 1
    Input:
    0 1 2
    3 4 0
    Output:
    0 1
    <blank line>
    Test
    Input: ...
    Output:
    | answer ... EOS

Every output grid is tokenised separately from the text around it, so the boundary between prompt
and answer is between two tokens, in training as in generation.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Protocol

import numpy as np

from arc.digits_grammar import Alphabet, BegunText, DigitsGrammar
from arc.formats import IGNORED, Encoded
from arc.grammar import Begun
from arc.grid import MAX_SIDE, Grid, frozen, to_rows
from arc.task import Task
from hone.errors import BadInput


class Tokenizer(Protocol):
    """What this format needs of a tokenizer; all tokenizers of transformers have it."""

    @property
    def bos_token_id(self) -> int | None: ...

    @property
    def eos_token_id(self) -> int | None: ...

    def encode(self, text: str, *, add_special_tokens: bool = ...) -> list[int]: ...

    def decode(self, token_ids: list[int]) -> str: ...


class DigitsFormat:
    name = "digits"

    def __init__(self, tokenizer: Tokenizer) -> None:
        if tokenizer.eos_token_id is None:
            raise BadInput(
                "the tokenizer has no end-of-sequence token to end an answer with;"
                " set eos_token in its tokenizer_config.json"
            )
        self.tokenizer = tokenizer
        self.stop: int = tokenizer.eos_token_id

    def prompt(self, task: Task) -> Encoded:
        return self._encoded(_prompt(task, every_output=False), [])

    def example(self, task: Task, *, every_output: bool = False) -> Encoded:
        answer = task.test[0].output
        if answer is None:
            raise BadInput(f"task {task.id} has no answer to train on")
        return self._encoded(_prompt(task, every_output=every_output), self.answer(answer))

    def answer(self, cells: Grid) -> list[int]:
        return [*self._ids(grid_text(cells)), self.stop]

    def cursor(self, prompt: Encoded) -> DigitsCursor:
        return DigitsCursor(int(prompt.positions[-1]))

    def grammar(self, shape: tuple[int, int] | None) -> DigitsGrammar:
        return DigitsGrammar(self._alphabet, BegunText(Begun.of(shape)))

    @cached_property
    def _alphabet(self) -> Alphabet:
        return Alphabet(self._ids, self.tokenizer.decode, self.stop)

    def parse(self, tokens: list[int]) -> Grid | None:
        """The grid before the stop token; None without one, because the answer was cut off."""
        if self.stop not in tokens:
            return None
        return parse_grid(self.tokenizer.decode(tokens[: tokens.index(self.stop)]))

    def show(self, token: int) -> str:
        return repr(self.tokenizer.decode([token]))

    def text(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens)

    def _encoded(self, pieces: Iterator[_Piece], answer: list[int]) -> Encoded:
        bos = self.tokenizer.bos_token_id
        tokens = [] if bos is None else [(bos, False)]
        for text, counted in pieces:
            tokens += [(token, counted) for token in self._ids(text)]
        tokens += [(token, True) for token in answer]
        ids = np.array([token for token, _ in tokens], dtype=np.int64)
        counts = np.array([counted for _, counted in tokens], dtype=bool)
        positions = np.arange(len(ids), dtype=np.int64)
        return Encoded(ids, positions, np.where(counts, ids, IGNORED))

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)


class DigitsCursor:
    """Counts on from the last position of the prompt."""

    def __init__(self, last: int) -> None:
        self.last = last

    def advance(self, token: int) -> int:
        """The position of `token`, the one just written."""
        self.last += 1
        return self.last


def task_text(task: Task) -> str:
    """The whole question as one text: demos and the first test input."""
    return "".join(text for text, _ in _prompt(task, every_output=False))


def grid_text(cells: Grid) -> str:
    return "\n".join(" ".join(map(str, row)) for row in to_rows(cells))


def parse_grid(text: str) -> Grid | None:
    """The grid that `text` spells, or None; blanks around it and at line ends are ignored."""
    rows = [line.split() for line in text.strip().split("\n")]
    width = len(rows[0])
    if not 1 <= width <= MAX_SIDE or len(rows) > MAX_SIDE:
        return None
    cells = [cell for row in rows for cell in row]
    if any(len(row) != width for row in rows) or not all(cell in _DIGITS for cell in cells):
        return None
    return frozen(np.array(rows).astype(np.uint8))


_DIGITS = frozenset("0123456789")
_Piece = tuple[str, bool]  # text, whether it counts in the loss


def _prompt(task: Task, *, every_output: bool) -> Iterator[_Piece]:
    opening = ""
    for i, pair in enumerate(task.train):
        if pair.output is None:
            raise BadInput(f"task {task.id}: demo {i} has no output")
        yield f"{opening}Example {i + 1}\nInput:\n{grid_text(pair.input)}\nOutput:\n", False
        yield grid_text(pair.output), every_output and i > 0
        opening = "\n\n"
    yield f"{opening}Test\nInput:\n{grid_text(task.test[0].input)}\nOutput:\n", False
