"""What may come next while a grid is written, token by token.

    grammar = form.grammar((3, 3))          # of a grid of this shape; None: of any grid
    grammar.allowed                         # the tokens that can still lead to such a grid
    grammar = grammar.after(token)

Each format says how its tokens spell cells and rows. What makes a grid is the same for all formats:
rows of equal width, at most 30 rows and columns, or exactly the shape that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from arc.grid import MAX_SIDE


class Grammar(Protocol):
    """A place in an answer. It is immutable: `after` returns the next place."""

    @property
    def allowed(self) -> tuple[int, ...]:
        """The tokens that may follow, at least one; the stop token where the grid is whole."""
        ...

    def after(self, token: int) -> Grammar:
        """The place after an allowed token."""
        ...


@dataclass(frozen=True)
class Begun:
    """How much of a grid has been written."""

    rows: int = 0  # whole rows
    cells: int = 0  # in the row that is not whole yet
    height: int | None = None  # of the grid, if known
    width: int | None = None  # known from the first row on

    @classmethod
    def of(cls, shape: tuple[int, int] | None) -> Begun:
        height, width = shape or (None, None)
        return cls(height=height, width=width)

    def with_cell(self) -> Begun | None:
        """The grid with one more cell; None where there is no room for it."""
        if self.rows == (self.height or MAX_SIDE) or self.cells == (self.width or MAX_SIDE):
            return None
        return replace(self, cells=self.cells + 1)

    def with_row_ended(self) -> Begun | None:
        """The grid with this row ended; None where the row is empty or too short."""
        if not self.cells or self.cells != (self.width or self.cells):
            return None
        return replace(self, rows=self.rows + 1, cells=0, width=self.cells)

    @property
    def whole(self) -> bool:
        return self.rows > 0 and not self.cells and self.rows == (self.height or self.rows)

    @property
    def another_row(self) -> bool:
        """Whether there is room for a row below."""
        return self.rows < (self.height or MAX_SIDE)
