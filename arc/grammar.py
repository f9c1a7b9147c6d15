"""What may come next while a grid is written, token by token.

    grammar = form.grammar((3, 3))          # of a grid of this shape; None: of any grid
    grammar.allowed                         # the tokens that can still become such a grid
    grammar = grammar.after(token)

A format says how its tokens spell cells and rows; what makes a grid of them is the same for all:
rows of one width, at most 30 of each, or just as many as are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from arc.grid import MAX_SIDE


class Grammar(Protocol):
    """A place in an answer; it does not change, `after` gives another."""

    @property
    def allowed(self) -> tuple[int, ...]:
        """At least one token; the stop token where the grid is whole."""
        ...

    def after(self, token: int) -> Grammar:
        """Behind an allowed token."""
        ...


@dataclass(frozen=True)
class Begun:
    """A grid of which so much has been written."""

    rows: int = 0  # whole ones
    cells: int = 0  # of the row that is not
    height: int | None = None  # of the grid, where it is known
    width: int | None = None  # known from the first row on

    @classmethod
    def of(cls, shape: tuple[int, int] | None) -> Begun:
        height, width = shape or (None, None)
        return cls(height=height, width=width)

    def with_cell(self) -> Begun | None:
        """None where there is no place for another cell."""
        if self.rows == (self.height or MAX_SIDE) or self.cells == (self.width or MAX_SIDE):
            return None
        return replace(self, cells=self.cells + 1)

    def with_row_ended(self) -> Begun | None:
        """None where the row is empty, or shorter than the first."""
        if not self.cells or self.cells != (self.width or self.cells):
            return None
        return replace(self, rows=self.rows + 1, cells=0, width=self.cells)

    @property
    def whole(self) -> bool:
        return self.rows > 0 and not self.cells and self.rows == (self.height or self.rows)

    @property
    def another_row(self) -> bool:
        """Whether there is a place for one below."""
        return self.rows < (self.height or MAX_SIDE)
