"""The same tasks under several settings, one after the other: what comparisons are made of.

Every task of every variant is on disk as soon as it is answered; started again, a run goes on where
it was, times included.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.settings import Settings
from hone.errors import BadInput

if TYPE_CHECKING:
    from arc.task import Task
    from client.adaptation import Adaptation

Row = dict[str, Any]


def varied(settings: Settings, **changes: Any) -> Settings:
    """Without what belongs to the command alone: a task's file is named after what it is given."""
    own = {field.name: getattr(settings, field.name) for field in dataclasses.fields(Settings)}
    return Settings(**own | changes)


def refuse_kept_adapters(settings: Settings) -> None:
    if settings.local_adapter_managing:
        raise BadInput("adapters that are kept would be reused; measure without them")


def rows_of(
    adaptation: Adaptation,
    settings: Settings,
    tasks: Sequence[Task],
    out_dir: Path,
    bar: Any,
    name: str,
) -> list[Row]:
    """In the order of the tasks, from disk where they were done before."""
    from client.arc_run import run_tasks
    from client.arc_solver import ArcSolver

    bar.set_description_str(name)
    solver = ArcSolver(dataclasses.replace(adaptation, settings=settings))
    found: dict[int, Row] = {}
    for i, row in run_tasks(solver, tasks, out_dir, with_base=False):
        found[i] = row
        bar.update()
    return [found[i] for i in range(len(tasks))]
