"""A grid: a small read-only array of colours 0-9, at most 30 by 30."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hone.errors import BadInput

Grid = npt.NDArray[np.uint8]
MAX_SIDE = 30
COLOURS = 10


def grid(rows: Any, where: str = "grid") -> Grid:
    """A checked grid; errors begin with `where`, which names file and pair."""
    if isinstance(rows, np.ndarray):
        rows = rows.tolist()
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        raise BadInput(f"{where}: a grid is a list of rows, got {_brief(rows)}")
    _check_sizes(rows, where)
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            if type(cell) is not int or not 0 <= cell < COLOURS:
                raise BadInput(
                    f"{where}: cell (row {r}, column {c}) is {_brief(cell)};"
                    " a colour is a whole number from 0 to 9"
                )
    return frozen(np.array(rows, dtype=np.uint8))


def frozen(cells: npt.NDArray[Any]) -> Grid:
    """The array as a read-only grid."""
    result = np.ascontiguousarray(cells, dtype=np.uint8)
    result.setflags(write=False)
    return result


def to_rows(cells: Grid) -> list[list[int]]:
    return [[int(cell) for cell in row] for row in cells]


def same(a: Grid | None, b: Grid | None) -> bool:
    return a is not None and b is not None and a.shape == b.shape and bool((a == b).all())


def spell(cells: Grid) -> str:
    """'012/340': a digit for each cell, rows joined by '/'; the form of pair files and hashes."""
    text, width = (cells + ord("0")).astype(np.uint8).tobytes().decode(), cells.shape[1]
    return "/".join(text[start : start + width] for start in range(0, len(text), width))


def unspell(text: str, where: str = "grid") -> Grid:
    rows = text.split("/")
    if not (digits := "".join(rows)).isascii() or not digits.isdigit():
        raise BadInput(f"{where}: {_first_stranger(rows)}")
    _check_sizes(rows, where)
    cells = np.frombuffer(digits.encode(), dtype=np.uint8) - ord("0")
    return frozen(cells.reshape(len(rows), -1))


def _first_stranger(rows: list[str]) -> str:
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            if cell not in "0123456789":
                return f"cell (row {r}, column {c}) is {cell!r}; a colour is one digit from 0 to 9"
    return "a grid is rows of digits with '/' between them, got none"


def _check_sizes(rows: Sequence[Sequence[Any]], where: str) -> None:
    width = len(rows[0])
    if len(rows) > MAX_SIDE or not 1 <= width <= MAX_SIDE:
        raise BadInput(
            f"{where}: {len(rows)} rows by {width} columns; a grid has 1 to {MAX_SIDE} of each"
        )
    for r, row in enumerate(rows):
        if len(row) != width:
            raise BadInput(
                f"{where}: row {r} has {len(row)} cells, row 0 has {width};"
                " all rows need the same length"
            )


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
