"""The canvas format: one token for each cell, with a position that says where on which canvas.

    INPUT 0 3 ROW 3 0 ROW END   OUTPUT 0 3 ROW ... END   INPUT ...   OUTPUT | answer ... END
    position = 4096 * canvas + 64 * (row + 1) + column; the opening token is at 4096 * canvas

Canvas 2i is the input of pair i, canvas 2i+1 its output, so cells at the same place in an input and
its output are always 4096 apart: rotary attention can learn "look at the same cell over there".
Positions "1d", for comparison, count tokens instead: 0, 1, 2, ...

In mode "pair" there are no demos: the embedding of TASK has to learn the rule. The look in which
the task is shown is spelled out, so that one embedding serves all looks.

    TASK turn new-colours   INPUT 0 3 ROW ... END   OUTPUT | answer ... END
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from arc.augment import Augmentation, symmetry
from arc.formats import IGNORED, Encoded, Tokens
from arc.grammar import Begun
from arc.grid import COLOURS, MAX_SIDE, Grid, frozen, same
from arc.steps import SYMMETRIES
from arc.task import Task
from hone.errors import BadInput

ROW, INPUT, OUTPUT, END, PAD, TASK = range(COLOURS, COLOURS + 6)  # TASK: for a task vector
VOCABULARY = 16
CANVAS, LINE = 4096, 64
POSITIONS, MODES = ("2d", "1d"), ("in_context", "pair")
_NAMES = {ROW: "row", INPUT: "input", OUTPUT: "output", END: "end", PAD: "pad", TASK: "task"}


class CanvasFormat:
    name = "canvas"
    stop = END

    def __init__(self, positions: str = "2d", mode: str = "in_context") -> None:
        for name, value, known in (("positions", positions, POSITIONS), ("mode", mode, MODES)):
            if value not in known:
                raise BadInput(f"{name} is {value!r}; there are: {', '.join(known)}")
        self.positions, self.mode = positions, mode

    def prompt(self, task: Task) -> Encoded:
        return self._encoded(self._until_answer(task, every_output=False))

    def example(self, task: Task, *, every_output: bool = False) -> Encoded:
        answer = task.test[0].output
        if answer is None:
            raise BadInput(f"task {task.id} has no answer to train on")
        body = _cells(answer, self._canvas(task) + 1, counted=True)
        return self._encoded([*self._until_answer(task, every_output=every_output), body])

    def answer(self, cells: Grid) -> list[int]:
        ids, _, _ = _cells(cells, 0, counted=True)
        return [int(token) for token in ids]

    def cursor(self, prompt: Encoded) -> CanvasCursor | CountingCursor:
        last = int(prompt.positions[-1])
        return CanvasCursor(last) if self.positions == "2d" else CountingCursor(last)

    def grammar(self, shape: tuple[int, int] | None) -> CanvasGrammar:
        return CanvasGrammar(Begun.of(shape))

    def parse(self, tokens: list[int]) -> Grid | None:
        body = tokens[: tokens.index(END)] if END in tokens else []
        rows: list[list[int]] = [[]]
        for token in body:
            if token == ROW:
                rows.append([])
            elif 0 <= token < COLOURS:
                rows[-1].append(token)
            else:
                return None
        return _as_grid(rows[:-1]) if not rows[-1] else None

    def show(self, token: int) -> str:
        return str(token) if token < COLOURS else f"<{_NAMES.get(token, token)}>"

    def text(self, tokens: list[int]) -> str:
        return " ".join(map(self.show, tokens)).replace("<row> ", "<row>\n")

    def _canvas(self, task: Task) -> int:
        """The canvas of the question; in pair mode, the one that it would have after one demo."""
        return 2 * (len(task.train) if self.mode == "in_context" else 1)

    def _until_answer(self, task: Task, *, every_output: bool) -> list[_Piece]:
        known = (
            _demos(task, every_output=every_output) if self.mode == "in_context" else [_look(task)]
        )
        return [*known, *_question(task, self._canvas(task))]

    def _encoded(self, pieces: Iterable[_Piece]) -> Encoded:
        ids, places, counts = zip(*pieces, strict=True)
        counted = np.repeat(counts, [len(part) for part in ids])
        joined = np.concatenate(ids)
        positions = np.concatenate(places) if self.positions == "2d" else np.arange(len(joined))
        return Encoded(joined, positions, np.where(counted, joined, IGNORED))


class CanvasCursor:
    """Moves over the answer's canvas: right with every token, to the next line after ROW."""

    def __init__(self, opening: int) -> None:
        self.opening, self.row, self.column = opening, 0, -1

    def advance(self, token: int) -> int:
        """The position of `token`, the one just written."""
        self.column += 1
        here = self.opening + LINE * (self.row + 1) + self.column
        if token == ROW:
            self.row, self.column = min(self.row + 1, MAX_SIDE), -1
        return min(here, self.opening + CANVAS - 1)


class CountingCursor:
    """Counts on from the last position of the prompt."""

    def __init__(self, last: int) -> None:
        self.last = last

    def advance(self, token: int) -> int:
        self.last += 1
        return self.last


@dataclass(frozen=True)
class CanvasGrammar:
    """ROW ends every row, the last one too; then END follows."""

    begun: Begun

    @property
    def allowed(self) -> tuple[int, ...]:
        cells = _COLOURS if self.begun.with_cell() else ()
        ends = (ROW,) if self.begun.with_row_ended() else ()
        return cells + ends + ((END,) if self.begun.whole else ())

    def after(self, token: int) -> CanvasGrammar:
        if token == END:
            return self
        moved = self.begun.with_row_ended() if token == ROW else self.begun.with_cell()
        return self if moved is None else CanvasGrammar(moved)


_COLOURS = tuple(range(COLOURS))
_Piece = tuple[Tokens, Tokens, bool]  # ids, positions, whether they count in the loss


def _demos(task: Task, *, every_output: bool) -> Iterator[_Piece]:
    for i, pair in enumerate(task.train):
        if pair.output is None:
            raise BadInput(f"task {task.id}: demo {i} has no output")
        yield _opening(INPUT, 2 * i)
        yield _cells(pair.input, 2 * i, counted=False)
        yield _opening(OUTPUT, 2 * i + 1)
        yield _cells(pair.output, 2 * i + 1, counted=every_output and i > 0)


def _look(task: Task) -> _Piece:
    """TASK, then the turn and the new colours of the look in which the task is shown; other steps
    have no tokens. These tokens are the first line of canvas 0, which holds nothing else."""
    steps = [word for word in task.look.split("+") if word in SYMMETRIES or "colours:" in word]
    look = Augmentation.parse("+".join(steps) or "identity")
    new = [int(look.grid(frozen(np.array([[colour]])))[0, 0]) for colour in range(COLOURS)]
    turned = np.argsort(new)[look.grid(_CORNERS)]
    turn = [same(symmetry(name).grid(_CORNERS), frozen(turned)) for name in SYMMETRIES].index(True)
    return np.array([TASK, turn, *new]), np.arange(2 + COLOURS), False


_CORNERS = frozen(np.array([[0, 1], [2, 3]]))  # each symmetry turns it into a different grid


def _question(task: Task, canvas: int) -> list[_Piece]:
    return [
        _opening(INPUT, canvas),
        _cells(task.test[0].input, canvas, counted=False),
        _opening(OUTPUT, canvas + 1),
    ]


def _opening(token: int, canvas: int) -> _Piece:
    return np.array([token]), np.array([canvas * CANVAS]), False


def _cells(cells: Grid, canvas: int, *, counted: bool) -> _Piece:
    """The rows, each ended by ROW, then END at the start of the next line."""
    height, width = cells.shape
    ids = np.full((height, width + 1), ROW)
    ids[:, :width] = cells
    lines = canvas * CANVAS + LINE * np.arange(1, height + 2)
    places = lines[:height, None] + np.arange(width + 1)
    return np.append(ids, END), np.append(places, lines[-1]), counted


def _as_grid(rows: list[list[int]]) -> Grid | None:
    widths = {len(row) for row in rows}
    if len(widths) != 1 or not 1 <= max(widths) <= MAX_SIDE or len(rows) > MAX_SIDE:
        return None
    return frozen(np.array(rows, dtype=np.uint8))
