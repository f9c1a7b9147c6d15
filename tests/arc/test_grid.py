"""Grids: what is one, what is not, and how they are spelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arc_strategies import grids
from hypothesis import given

from arc.grid import Grid, grid, same, spell, to_rows, unspell
from hone.errors import BadInput


@given(grids())
def test_round_trips(cells: Grid) -> None:
    assert same(grid(to_rows(cells)), cells)
    assert same(unspell(spell(cells)), cells)
    assert not unspell(spell(cells)).flags.writeable


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "a grid is a list of rows, got []"),
        ("012", "a grid is a list of rows, got '012'"),
        ([0, 1], "a grid is a list of rows"),
        (None, "a grid is a list of rows, got None"),
        ([[]], "1 rows by 0 columns"),
        ([[0] * 31], "1 rows by 31 columns"),
        ([[0]] * 31, "31 rows by 1 columns"),
        ([[0, 1], [2]], "row 1 has 1 cells, row 0 has 2"),
        ([[0, 10]], "cell (row 0, column 1) is 10;"),
        ([[0], [-1]], "cell (row 1, column 0) is -1;"),
        ([[True]], "cell (row 0, column 0) is True;"),
        ([[1.0]], "cell (row 0, column 0) is 1.0;"),
        ([["1"]], "cell (row 0, column 0) is '1';"),
        (np.array([[0.5]]), "cell (row 0, column 0) is 0.5;"),
    ],
)
def test_what_is_no_grid_is_named(rows: Any, said: str) -> None:
    with pytest.raises(BadInput, match="here: ") as caught:
        grid(rows, "here")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got none"),
        ("/", "got none"),
        ("01/2x", "cell (row 1, column 1) is 'x'"),
        ("-1", "cell (row 0, column 0) is '-'"),
        ("\u0663", "cell (row 0, column 0) is"),
        ("01/2", "row 1 has 1 cells, row 0 has 2"),
        ("0/", "row 1 has 0 cells"),
        ("0" * 31, "1 rows by 31 columns"),
    ],
)
def test_what_spells_no_grid_is_named(text: str, said: str) -> None:
    with pytest.raises(BadInput, match="here: ") as caught:
        unspell(text, "here")
    assert said in str(caught.value)


def test_a_grid_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        grid([[0]])[0, 0] = 1


def test_same_compares_shape_and_cells() -> None:
    assert same(grid([[1, 2]]), grid([[1, 2]]))
    assert not same(grid([[1, 2]]), grid([[1], [2]]))
    assert not same(None, None)
