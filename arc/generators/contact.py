"""A contact sheet: one task of each family on a line, as a self-contained SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from arc.generators.family import Family
from arc.grid import Grid
from arc.render import svg
from arc.task import Task

CELL, GAP, LABEL, LINE = 7, 12, 130, 90


def contact_sheet(shown: Sequence[tuple[Family, Task]]) -> str:
    """A line for each family: its name, then input and output of demos and test."""
    width = LABEL + max((_length(task) for _, task in shown), default=0)
    height = LINE * len(shown)
    lines = [_line(found, task, LINE * i) for i, (found, task) in enumerate(shown)]
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" font-family="sans-serif">'
    )
    paper = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    return "\n".join([opening, paper, *lines, "</svg>", ""])


def _grids(task: Task) -> list[Grid]:
    pairs = task.train + task.test
    return [g for pair in pairs for g in (pair.input, pair.output) if g is not None]


def _length(task: Task) -> int:
    grids = _grids(task)
    return CELL * sum(int(g.shape[1]) for g in grids) + GAP * (len(grids) + len(grids) // 2)


def _line(found: Family, task: Task, top: int) -> str:
    kind = "held out" if found.held_out else "training"
    parts = [
        f'<text x="8" y="{top + 24}" font-size="13">{escape(found.name)}</text>',
        f'<text x="8" y="{top + 42}" font-size="10" fill="#666666">'
        f"{escape(found.concept)}, {kind}</text>",
    ]
    left = LABEL
    for i, cells in enumerate(_grids(task)):
        parts.append(f'<g transform="translate({left} {top + 8})">{svg(cells, cell=CELL)}</g>')
        left += CELL * cells.shape[1] + GAP * (1 + i % 2)
    return "".join(parts)
