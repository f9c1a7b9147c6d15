"""The stable Python interface: open a solver for a preset and give it ARC tasks.

    from client.api import open_solver

    with open_solver("bundled", k=4) as solver:
        answer = solver.solve("data/examples/swap_colours-3.json")
        answer.predictions[0]    # rows of cells, for the first test input
        answer.confidence        # from 0 to 1
        answer.metadata          # the trace: how the answer was made

A task is a file, an object in ARC's form ({"train": [...], "test": [...]}), or an `arc.task.Task`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.answer import Answer
from client.settings import Settings
from hone.settings import make_settings

if TYPE_CHECKING:
    from arc.task import Task
    from client.adaptation import Adaptation

    TaskLike = Task | Mapping[str, Any] | Path | str


@dataclass(frozen=True)
class _OfTasks(Settings):
    @staticmethod
    def usual_preset(given: Mapping[str, Any]) -> str:
        return Settings.usual_preset({**given, "task": True})


def open_solver(
    preset: str | None = None,
    *,
    platform: str | None = None,
    config: Path | str | None = None,
    **settings: Any,
) -> Solver:
    """Loads the base and everything else that tasks need, once. `settings` are the flags of
    client/client.py by name; they override `platform`, `config` and `preset`. Raises BadInput for
    one that cannot be used."""
    from client.opening import open_adaptation

    values = {"preset": preset, "platform": platform, **settings}
    chosen = make_settings(_OfTasks, values, config=None if config is None else Path(config))
    return Solver(open_adaptation(chosen, "arc"))


class Solver:
    """Solves tasks. As a context, it closes the server connection or knowledge base at the end."""

    def __init__(self, adaptation: Adaptation) -> None:
        from client.arc_solver import ArcSolver

        self.settings = adaptation.settings
        self._adaptation, self._solver = adaptation, ArcSolver(adaptation)

    def __enter__(self) -> Solver:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._adaptation.__exit__()

    def solve(self, task: TaskLike, *, ttt: bool = True) -> Answer:
        """Solves one task with an adapter of its own, or without `ttt`, with the base alone."""
        (answer,) = self.solve_all([task], ttt=ttt)
        return answer

    def solve_all(self, tasks: Iterable[TaskLike], *, ttt: bool = True) -> list[Answer]:
        """Solves many tasks, training K adapters at a time; each answer is the one that the task
        gets alone."""
        solutions = self._solver.solve([_read(task) for task in tasks], adapt=ttt)
        return [Answer.of(solution) for solution in solutions]


def _read(task: TaskLike) -> Task:
    from arc.readers import read_task
    from arc.task import Task, task_from_json

    if isinstance(task, Task):
        return task
    return read_task(task) if isinstance(task, str | Path) else task_from_json(task, "task", "task")
