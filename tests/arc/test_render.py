"""Rendering: aligned columns, colours only where they are wanted, SVG that is XML."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from arc_strategies import grids
from hypothesis import given

from arc.grid import Grid, grid
from arc.render import COLOUR_CODES, ansi_side_by_side, svg, svg_side_by_side

CELLS = grid([[0, 1, 2], [3, 4, 5]])


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def ansi(cells: Grid, **how: Any) -> str:
    """One grid, without its title."""
    return ansi_side_by_side([("", cells)], **how).partition("\n")[2]


def test_plain_digits() -> None:
    assert ansi(CELLS, colour=False) == "0 1 2\n3 4 5"


def test_colours_are_the_fields() -> None:
    text = ansi(grid([[2]]), colour=True)
    assert text == "\x1b[48;2;255;65;54m  \x1b[0m"
    assert len(COLOUR_CODES) == 10


def test_the_terminal_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in ansi(CELLS)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" in ansi(CELLS)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in ansi(CELLS)
    assert "\x1b" in ansi(CELLS, colour=True)


def test_columns_are_aligned_whatever_their_heights() -> None:
    columns = [("input", CELLS), ("a long title", grid([[7], [8], [9]])), ("answer", None)]
    assert ansi_side_by_side(columns, colour=False).split("\n") == [
        "input    a long title   answer",
        "0 1 2    7              no grid",
        "3 4 5    8",
        "         9",
    ]


@given(grids(side=9), grids(side=9))
def test_colour_changes_no_width(a: Grid, b: Grid) -> None:
    columns = [("a", a), ("b", b), ("c", None)]
    lines = [
        plain(ansi_side_by_side(columns, colour=colour)).split("\n") for colour in (True, False)
    ]
    assert len(lines[0]) == len(lines[1]) == 1 + max(len(a), len(b))
    assert lines[0][0] == lines[1][0]
    assert lines[0][1].index("no grid") == lines[1][1].index("no grid")


def test_differing_cells_are_marked() -> None:
    other = grid([[0, 1], [3, 9]])  # (1, 1) differs, column 2 is outside
    assert ansi(CELLS, colour=False, compare_to=other) == "0 1 2*\n3 4*5*"
    assert plain(ansi(CELLS, colour=True, compare_to=other)) == "    <>\n  <><>"
    marked = ansi_side_by_side([("a", CELLS), ("b", CELLS)], colour=False, compare_to=other)
    assert marked.split("\n")[1:] == ["0 1 2    0 1 2*", "3 4 5    3 4*5*"]
    assert "*" not in ansi(CELLS, colour=False, compare_to=CELLS)


def test_all_answers_behind_the_right_one_are_held_to_it() -> None:
    right, wrong = grid([[1, 2]]), grid([[1, 3]])
    columns = [("input", wrong), ("expected", right), ("before", wrong), ("after", wrong)]
    marked = ansi_side_by_side(columns, colour=False, compare_to=right)
    assert marked.split("\n")[1].split() == ["1", "3", "1", "2", "1", "3*", "1", "3*"]
    assert svg_side_by_side(columns, compare_to=right).count('class="differs"') == 4


@given(grids(side=9))
def test_svg_has_a_rectangle_a_cell(cells: Grid) -> None:
    root = ElementTree.fromstring(svg(cells, cell=10))
    rows, columns = cells.shape
    assert root.get("width") == str(10 * columns) and root.get("height") == str(10 * rows)
    fills = [rect.get("fill") for rect in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert fills == [COLOUR_CODES[cell] for cell in cells.ravel()]


def test_svg_outlines_what_differs() -> None:
    assert svg(CELLS, compare_to=CELLS) == svg(CELLS)
    other = grid([[0, 1, 2], [3, 4, 6]])
    assert svg(CELLS, compare_to=other).count('class="differs"') == 2  # white, and black in it


def test_svg_side_by_side() -> None:
    text = svg_side_by_side([("a < b", CELLS), ("c", None)], compare_to=CELLS)
    root = ElementTree.fromstring(text)
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["a < b", "c", "no grid"]
    assert int(root.get("width", "0")) > 0


def test_nothing_to_show_is_shown() -> None:
    assert ansi_side_by_side([], colour=False) == ""
    ElementTree.fromstring(svg_side_by_side([]))
