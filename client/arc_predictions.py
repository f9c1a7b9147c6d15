"""Formats predictions: a text file per task as MIT's seed writes it, and Kaggle's submission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arc.digits import grid_text
from arc.grid import to_rows, unspell
from arc.scoring import ATTEMPTS
from arc.task import Task
from hone.errors import BadInput

NO_ANSWER = [[0, 0], [0, 0]]  # as in Kaggle's sample file, since every attempt has to be a grid


def check_names(tasks: Sequence[Task]) -> None:
    """Refuses task ids that are not unique file names: each task gets a file of its own."""
    seen: set[str] = set()
    for task in tasks:
        if Path(f"{task.id}.txt").name != f"{task.id}.txt" or not task.id.isprintable():
            raise BadInput(f"the task id {task.id!r} cannot be a file's name; rename the task")
        if task.id in seen:
            raise BadInput(
                f"two tasks are called {task.id!r}; rename one, or answer them in separate runs"
            )
        seen.add(task.id)


def prediction_text(task: Task, row: Mapping[str, Any]) -> str:
    """The text of a task's file: for each test input, the model's output and the true output."""
    parts = []
    for i, (pair, attempts) in enumerate(zip(task.test, row["attempts"], strict=True)):
        title = f"TEST {i}\n" if len(task.test) > 1 else ""
        written = grid_text(unspell(attempts[0]["grid"])) if attempts else "no grid"
        true = "unknown" if pair.output is None else grid_text(pair.output)
        parts.append(f"{title}MODEL OUTPUT:\n{written}\n\nTRUE OUTPUT:\n{true}\n")
    return "\n".join(parts)


def submission(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Kaggle's submission format: for every task, a list with two attempts for each test input."""
    return {row["id"]: [_two_attempts(own) for own in row["attempts"]] for row in rows}


def _two_attempts(attempts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    grids = [to_rows(unspell(one["grid"])) for one in attempts[:ATTEMPTS]]
    filled = [*grids, *[NO_ANSWER] * (ATTEMPTS - len(grids))]
    return {f"attempt_{i}": grid for i, grid in enumerate(filled, 1)}
