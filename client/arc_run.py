"""Many tasks, K at a time, each group's results on disk before the next begins.

A group's file is named after everything that shaped it (tasks, settings, base, knowledge base), so
a run that was killed and started again skips what is done, and one with other settings does not
take them for its own.
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
# Where things are and how they are called; the base and the knowledge base are told by content.
_NOT_SHAPING = {
    *("preset", "model_path", "knowledge_base_path", "server_url", "local_adapter_manager_dir"),
    *("data_dir", "out_dir", "limit", "threads"),
}


def run_groups(
    solver: ArcSolver, tasks: Sequence[Task], out_dir: Path, *, with_base: bool
) -> Iterator[list[Row]]:
    """A list of rows for every group of K tasks, from disk where it was done before."""
    how, k = _how(solver, with_base), solver.settings.k
    for start in range(0, len(tasks), k):
        group = list(tasks[start : start + k])
        spelled = [(task.id, task_to_json(task)) for task in group]
        file = out_dir / "groups" / f"{short_hash(how, spelled)}.json"
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


def _how(solver: ArcSolver, with_base: bool) -> str:
    """Everything beside the tasks that decides a group's rows."""
    retriever, settings = solver.adaptation.retriever, as_plain(solver.settings)
    knowledge = retriever.info().content_hash if retriever else None
    reusing = settings["local_adapter_managing"]
    unused = [] if reusing else [n for n in settings if n.startswith("local_adapter_manager_")]
    shaping = {n: value for n, value in settings.items() if n not in _NOT_SHAPING.union(unused)}
    base = solver.base.fingerprint, solver.base.context
    return short_hash(shaping, base, knowledge, with_base)
