"""Shows the demo's tasks before and after training, in the terminal and as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arc.render import Column
    from client.arc_solver import Solution


def show(before: list[Solution], after: list[Solution]) -> None:
    from arc.render import ansi_side_by_side

    for old, new in zip(before, after, strict=True):
        marks = [("solved" if s.right else "not solved") for s in (old, new)]
        print(f"\n{new.task.id}: {marks[0]} before, {marks[1]} after")
        for columns in rows_of(old, new):
            print(ansi_side_by_side(columns, compare_to=dict(columns)["expected"]))
    print()


def rows_of(old: Solution, new: Solution) -> list[list[Column]]:
    """For each test input: input, expected output, before, after. Of the attempts, the right one is
    shown, else the first."""
    from arc.grid import same

    rows: list[list[Column]] = []
    for i, pair in enumerate(new.task.test):
        columns: list[Column] = [("test input", pair.input), ("expected", pair.output)]
        for title, solution in (("before", old), ("after", new)):
            grids = [grid for grid, _ in solution.attempts[i]]
            right = [grid for grid in grids if same(grid, pair.output)]
            columns.append((title, next(iter(right or grids), None)))
        rows.append(columns)
    return rows


def draw(path: Path, before: list[Solution], after: list[Solution]) -> None:
    from eval.picture import stacked
    from hone.files import write_text

    rows = [
        (new.task.id, columns)
        for old, new in zip(before, after, strict=True)
        for columns in rows_of(old, new)
    ]
    write_text(path, stacked(rows))
