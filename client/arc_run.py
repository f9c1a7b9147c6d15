"""Many tasks, K at a time, each group's results on disk before the next begins.

A group's file is named after everything that shaped it (tasks, settings, base, knowledge base), so
a run that was killed and started again skips what is done, and one with other settings does not
mistake its files for its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from arc.grid import Grid, spell
from arc.scoring import right_outputs
from arc.task import Task, task_to_json
from client.arc_solver import ArcSolver, Solution
from hone.files import read_json, short_hash, write_json
from hone.settings import as_plain

Row = dict[str, Any]
_NOT_SHAPING = {"threads", "local_adapter_manager_dir", "out_dir", "server_url", "data_dir"}


def run_groups(
    solver: ArcSolver, tasks: Sequence[Task], out_dir: Path, *, with_base: bool
) -> Iterator[list[Row]]:
    """A list of rows for every group of K tasks, from disk where it was done before."""
    k = solver.settings.k
    for start in range(0, len(tasks), k):
        group = list(tasks[start : start + k])
        file = out_dir / "groups" / f"{_group_key(solver, group, with_base)}.json"
        if not file.exists():
            write_json(file, _solve(solver, group, with_base))
        yield read_json(file)


def _solve(solver: ArcSolver, group: list[Task], with_base: bool) -> list[Row]:
    after = solver.solve(group, adapt=True)
    rows = [{"id": solution.task.id, **_told(solution)} for solution in after]
    if with_base:
        for row, solution in zip(rows, solver.solve(group, adapt=False), strict=True):
            row["base"] = _told(solution)
    return rows


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


def _group_key(solver: ArcSolver, group: list[Task], with_base: bool) -> str:
    adaptation = solver.adaptation
    knowledge = adaptation.retriever.info().content_hash if adaptation.retriever else None
    settings = as_plain(solver.settings)
    shaping = {name: value for name, value in settings.items() if name not in _NOT_SHAPING}
    tasks = [(task.id, task_to_json(task)) for task in group]
    return short_hash(tasks, shaping, solver.base.fingerprint, knowledge, with_base)
