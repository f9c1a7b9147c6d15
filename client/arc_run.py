"""Many tasks through one training queue, each one's results on disk as soon as it is answered.

A task's file bears its id (`check_names` says whether it can) and a hash of everything that shaped
it: the task, settings, base, knowledge base. So a run that was killed and started again skips what
is done, and one with other settings does not take them for its own. With `--mode cohort` all of
them, done or not, train the shared adapter first (client/cohort.py). A kill costs the tasks that
were in training, and fewer than K that were trained but not yet answered.
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
    """Every task's index and row: first those that were done before, then each as it is done."""
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
