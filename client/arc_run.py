"""Answers many tasks through one training queue, and writes each result as soon as it is there.

A task's file is named by its id (`check_names` tests that it can be) and by a hash of everything
that determines the result: the task, settings, base and knowledge base. A run that was killed and
started again therefore skips what is done, and a run with other settings does not mistake these
results for its own. With `--mode cohort` the shared adapter is first trained on all tasks, done or
not (client/cohort.py). A kill loses the tasks in training, and fewer than K that were trained but
not yet answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from arc.grid import Grid, spell
from arc.scoring import right_outputs
from arc.task import Task, task_to_json
from client.arc_solver import ArcSolver, Solution
from client.cohort import stand_on_shared
from client.run_name import run_name
from hone.files import read_json, short_hash, write_json

Row = dict[str, Any]


def run_tasks(
    solver: ArcSolver, tasks: Sequence[Task], out_dir: Path, *, with_base: bool
) -> Iterator[tuple[int, Row]]:
    """Yields each task's index and row: first the tasks done before, then each when it is done."""
    try:
        yield from _rows(solver, tasks, out_dir, with_base)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted: what is answered stays in {out_dir}; the same command goes on from there"
        ) from None


def _rows(
    solver: ArcSolver, tasks: Sequence[Task], out_dir: Path, with_base: bool
) -> Iterator[tuple[int, Row]]:
    stand_on_shared(solver.adaptation, tasks)
    how, folder = run_name(solver.adaptation, with_base), out_dir / "tasks"
    files = [folder / _file_name(how, task) for task in tasks]
    missing = []
    for i, file in enumerate(files):
        if file.exists():
            yield i, read_json(file)
        else:
            missing.append(i)
    waiting = [tasks[i] for i in missing]
    for group in solver.solve_groups(waiting, adapt=True):
        rows = [{"id": solution.task.id, **_told(solution)} for _, solution in group]
        if with_base:
            answered = solver.solve([solution.task for _, solution in group], adapt=False)
            for row, solution in zip(rows, answered, strict=True):
                row["base"] = _told(solution)
        peak = solver.adaptation.layout.report()["peak_mb"]
        for (i, _), row in zip(group, rows, strict=True):
            row["peak_memory_mb"] = peak
            write_json(files[missing[i]], row)
            yield missing[i], row


def _file_name(how: str, task: Task) -> str:
    return f"{task.id}-{short_hash(how, task_to_json(task))}.json"


def _told(solution: Solution) -> Row:
    grids: list[list[Grid]] = [[grid for grid, _ in own] for own in solution.attempts]
    known = all(pair.output is not None for pair in solution.task.test)
    return {
        "solved": solution.right,
        "right": right_outputs(solution.task, grids) if known else None,
        "attempts": [
            [{"grid": spell(grid), "share": round(share, 4)} for grid, share in own]
            for own in solution.attempts
        ],
        "trace": solution.trace,
    }
