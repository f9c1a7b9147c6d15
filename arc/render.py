"""Draws grids: as coloured blocks in a terminal, or as SVG.

In a terminal every cell is two characters wide. Without colour (no terminal, or NO_COLOR is set) it
shows its digit, followed by `*` if it differs from `compare_to`; in colour such a cell shows `<>`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from html import escape
from itertools import zip_longest

from arc.grid import Grid

COLOUR_CODES = (
    *("#000000", "#0074D9", "#FF4136", "#2ECC40", "#FFDC00"),
    *("#AAAAAA", "#F012BE", "#FF851B", "#7FDBFF", "#870C25"),
)
NO_GRID = "no grid"
Column = tuple[str, Grid | None]  # title and grid
_GAP = "   "
_RESET = "\x1b[0m"


def ansi_side_by_side(
    columns: Sequence[Column], *, colour: bool | None = None, compare_to: Grid | None = None
) -> str:
    """Lines of text with titles above the grids. In the columns after `compare_to`, cells that
    differ from it are marked. `colour=None` uses colour if stdout is a terminal."""
    paint = _wants_colour() if colour is None else colour
    blocks = [
        _block(title, cells, paint, other)
        for (title, cells), other in zip(columns, _compared(columns, compare_to), strict=True)
    ]
    widths = [_width(title, cells) for title, cells in columns]
    rows = zip_longest(*blocks, fillvalue=("", 0))
    return "\n".join(
        _GAP.join(
            text + " " * (width - shown) for (text, shown), width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def svg(cells: Grid, *, cell: int = 20, compare_to: Grid | None = None) -> str:
    """The grid as an SVG document; each cell is `cell` pixels wide."""
    height, width = cells.shape
    return _document(width * cell, height * cell, "".join(_shapes(cells, cell, compare_to)))


def svg_side_by_side(
    columns: Sequence[Column], *, cell: int = 20, compare_to: Grid | None = None
) -> str:
    """An SVG document with titles above the grids. In the columns after `compare_to`, cells that
    differ from it are outlined."""
    # width and height in pixels of a letter in a title, monospaced at 13 pixels
    letter, line = 8, 20
    parts: list[str] = []
    left, bottom = 0, line
    for (title, cells), other in zip(columns, _compared(columns, compare_to), strict=True):
        height, width = (1, len(NO_GRID)) if cells is None else cells.shape
        wide, high = (width * letter, line) if cells is None else (width * cell, height * cell)
        body = _text(NO_GRID, 14) if cells is None else "".join(_shapes(cells, cell, other))
        parts.append(f'<g transform="translate({left},0)">{_text(title, 14)}</g>')
        parts.append(f'<g transform="translate({left},{line})">{body}</g>')
        left += max(wide, len(title) * letter) + 2 * letter
        bottom = max(bottom, line + high)
    return _document(max(left - 2 * letter, 1), bottom, "".join(parts))


def _compared(columns: Sequence[Column], compare_to: Grid | None) -> list[Grid | None]:
    """The grid that each column is compared with: `compare_to` for the columns after it, or for the
    last column if it is in none."""
    places = [i for i, (_, cells) in enumerate(columns) if cells is compare_to]
    first = places[0] + 1 if places else len(columns) - 1
    return [compare_to if i >= first else None for i in range(len(columns))]


def _wants_colour() -> bool:
    return not os.environ.get("NO_COLOR") and sys.stdout.isatty()


def _differs(cells: Grid, compare_to: Grid | None, row: int, column: int) -> bool:
    if compare_to is None:
        return False
    height, width = compare_to.shape
    outside = row >= height or column >= width
    return outside or bool(cells[row, column] != compare_to[row, column])


def _lines(cells: Grid, paint: bool, compare_to: Grid | None) -> Iterator[str]:
    height, width = cells.shape
    for r in range(height):
        marks = [_differs(cells, compare_to, r, c) for c in range(width)]
        if paint:
            painted = (_painted(int(cells[r, c]), marks[c]) for c in range(width))
            yield "".join(painted) + _RESET
        else:
            yield "".join(f"{cells[r, c]}{'*' if marks[c] else ' '}" for c in range(width))


def _painted(colour: int, marked: bool) -> str:
    red, green, blue = bytes.fromhex(COLOUR_CODES[colour][1:])
    ink = 0 if red + green + blue > 380 else 255  # readable on its background
    sign = f"\x1b[38;2;{ink};{ink};{ink}m<>" if marked else "  "
    return f"\x1b[48;2;{red};{green};{blue}m{sign}"


def _width(title: str, cells: Grid | None) -> int:
    return max(len(title), len(NO_GRID) if cells is None else 2 * cells.shape[1])


def _block(
    title: str, cells: Grid | None, paint: bool, compare_to: Grid | None
) -> list[tuple[str, int]]:
    """Lines of text, each with the number of characters that it shows."""
    if cells is None:
        return [(title, len(title)), (NO_GRID, len(NO_GRID))]
    shown = 2 * cells.shape[1]
    return [(title, len(title)), *((line, shown) for line in _lines(cells, paint, compare_to))]


def _document(width: int, height: int, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}">{body}</svg>'
    )


def _text(text: str, baseline: int) -> str:
    return (
        f'<text y="{baseline}" font-family="monospace" font-size="13"'
        f' fill="currentColor">{escape(text)}</text>'
    )


def _shapes(cells: Grid, cell: int, compare_to: Grid | None) -> Iterator[str]:
    height, width = cells.shape
    places = [(r, c) for r in range(height) for c in range(width)]
    for r, c in places:
        yield (
            f'<rect x="{c * cell}" y="{r * cell}" width="{cell}" height="{cell}"'
            f' fill="{COLOUR_CODES[cells[r, c]]}" stroke="#555555" stroke-width="0.5"/>'
        )
    for r, c in places:
        if _differs(cells, compare_to, r, c):
            yield from _outline(c * cell, r * cell, cell)


def _outline(x: int, y: int, cell: int) -> Iterator[str]:
    """A white outline with a black line in it, visible on every colour."""
    for stroke, thickness in (("#FFFFFF", 3), ("#000000", 1)):
        yield (
            f'<rect class="differs" x="{x + 1.5}" y="{y + 1.5}" width="{cell - 3}"'
            f' height="{cell - 3}" fill="none" stroke="{stroke}" stroke-width="{thickness}"/>'
        )
