"""A contact sheet: a card for each family with one of its tasks, by concept, as one SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from textwrap import wrap

from arc.generators.family import Family
from arc.grid import Grid
from arc.render import svg
from arc.task import Task

COLUMNS, GAP, PAD = 3, 16, 14
PANEL, BETWEEN, DEMOS = 96, 10, 3  # the room of a grid, from one to the next, demos shown
CARD = 2 * PAD + (DEMOS + 1) * (PANEL + BETWEEN)
WIDTH = COLUMNS * (CARD + GAP) + GAP
LARGEST_CELL, LETTERS, LINE = 12, 74, 14
INK, PALE, MARK = "#222222", "#666666", "#B35900"


@dataclass(frozen=True)
class Drawing:
    body: str
    height: int

    def at(self, left: int, top: int) -> str:
        return f'<g transform="translate({left} {top})">{self.body}</g>'


def contact_sheet(shown: Sequence[tuple[Family, Task]]) -> str:
    """Cards under the name of their concept, held-out families marked."""
    ordered = sorted(shown, key=lambda one: (one[0].concept, one[0].held_out, one[0].name))
    parts, top = [], GAP
    for concept, members in groupby(ordered, key=lambda one: one[0].concept):
        parts.append(_text(GAP, top + 22, concept, 20, INK, bold=True))
        top += 36
        for row in _rows([_card(found, task) for found, task in members]):
            parts += [card.at(GAP + i * (CARD + GAP), top) for i, card in enumerate(row)]
            top += max(card.height for card in row) + GAP
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}"'
        f' width="{WIDTH}" height="{top}" font-family="sans-serif">'
    )
    paper = f'<rect width="{WIDTH}" height="{top}" fill="#EFEFEB"/>'
    return "\n".join([opening, paper, *parts, "</svg>", ""])


def _rows(cards: Sequence[Drawing]) -> Iterator[Sequence[Drawing]]:
    for start in range(0, len(cards), COLUMNS):
        yield cards[start : start + COLUMNS]


def _card(found: Family, task: Task) -> Drawing:
    sentences = wrap(found.says, LETTERS)
    pairs = _pairs(task)
    below = PAD + 22 + LINE * len(sentences)
    height = below + pairs.height + PAD
    edge = MARK if found.held_out else "#D5D5D0"
    parts = [
        f'<rect width="{CARD}" height="{height}" rx="6" fill="#FFFFFF" stroke="{edge}"/>',
        _text(PAD, PAD + 12, found.name, 14, INK, bold=True),
        *(_text(PAD, PAD + 28 + LINE * i, line, 11, PALE) for i, line in enumerate(sentences)),
        pairs.at(PAD, below),
    ]
    if found.held_out:
        parts.append(_text(CARD - PAD - 52, PAD + 12, "held out", 12, MARK, bold=True))
    return Drawing("".join(parts), height)


def _pairs(task: Task) -> Drawing:
    """Inputs above their outputs, the test apart from the demos."""
    shown = task.train[:DEMOS] + task.test[:1]
    answered = [(p.input, p.output) for p in shown if p.output is not None]
    cell = _cell([grid for pair in answered for grid in pair])
    above = cell * max(given.shape[0] for given, _ in answered)
    under = cell * max(made.shape[0] for _, made in answered)
    parts = []
    for i, (given, made) in enumerate(answered):
        tested = i == len(answered) - 1
        left = i * (PANEL + BETWEEN) + (BETWEEN if tested else 0)
        title = "test" if tested else f"demo {i + 1}"
        middle = left + PANEL // 2
        parts += [
            _text(middle, 12, title, 10, MARK if tested else PALE, anchor="middle"),
            _centred(given, cell, middle, 18 + above - cell * given.shape[0]),
            _text(middle, 18 + above + 14, "\N{DOWNWARDS ARROW}", 12, PALE, anchor="middle"),
            _centred(made, cell, middle, above + 38),
        ]
    return Drawing("".join(parts), above + 38 + under)


def _cell(grids: Sequence[Grid]) -> int:
    """As large as leaves every grid within its panel."""
    largest: int = max(max(grid.shape) for grid in grids)
    return min(LARGEST_CELL, PANEL // largest)


def _centred(cells: Grid, cell: int, middle: int, top: int) -> str:
    left = middle - cell * cells.shape[1] // 2
    return f'<g transform="translate({left} {top})">{svg(cells, cell=cell)}</g>'


def _text(
    left: int, line: int, words: str, size: int, ink: str, *, bold: bool = False, anchor: str = ""
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    where = f' text-anchor="{anchor}"' if anchor else ""
    return (
        f'<text x="{left}" y="{line}" font-size="{size}" fill="{ink}"{weight}{where}>'
        f"{escape(words)}</text>"
    )
