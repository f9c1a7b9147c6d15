"""Sources of ARC tasks: our own generators, and folders or files of tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hone.errors import BadInput
from kb.left_out import LeftOut, Report
from kb.records import Kind, Record, record_of_task

if TYPE_CHECKING:
    from arc.task import Task

GENERATORS = "generators"
GENERATED = 1000  # tasks, where the name gives no count


@dataclass(frozen=True)
class Generated:
    """`generators:COUNT:SEED`: tasks of our training families in turn. Held-out families give none:
    evaluations measure with them."""

    spelled: str
    count: int
    seed: int
    kind: Kind = "arc"

    @classmethod
    def named(cls, name: str) -> Generated:
        _, *rest = name.split(":")
        if len(rest) > 2 or not all(part.isascii() and part.isdigit() for part in rest):
            raise BadInput(f"{name!r}: {GENERATORS}:COUNT or {GENERATORS}:COUNT:SEED was expected")
        count, seed = (*map(int, rest), *(GENERATED, 0)[len(rest) :])
        if count < 1:
            raise BadInput(f"{name!r} asks for no tasks; COUNT is at least 1")
        return cls(name, count, seed)

    @property
    def source(self) -> str:
        return self.spelled

    def expected(self) -> int:
        return self.count

    def records(self, report: Report) -> Iterator[tuple[int, Record]]:
        return _answered(self._tasks(), self.source, report)

    def _tasks(self) -> Iterator[Task]:
        from arc.generators import sample_task, training_families

        families = list(training_families())
        for i in range(self.count):
            number, chosen = divmod(i, len(families))
            yield sample_task(families[chosen], self.seed * 1_000_000 + number)


@dataclass(frozen=True)
class ArcTasks:
    """A folder of tasks, a task file, or Kaggle's challenges."""

    spelled: str
    path: Path
    kind: Kind = "arc"

    @property
    def source(self) -> str:
        resolved = self.path.resolve()
        return resolved.name if resolved.is_dir() else resolved.name.split(".")[0]

    def expected(self) -> int | None:
        return sum(1 for _ in self.path.glob("*.json")) if self.path.is_dir() else None

    def records(self, report: Report) -> Iterator[tuple[int, Record]]:
        from arc.readers import read_tasks

        return _answered(read_tasks(self.path), self.source, report)


def _answered(tasks: Iterable[Task], source: str, report: Report) -> Iterator[tuple[int, Record]]:
    """Each task's number and record; tasks that lack an answer go into the report."""
    for number, task in enumerate(tasks, 1):
        if (record := record_of_task(task, source)) is not None:
            yield number, record
        else:
            report.add(LeftOut.of(source, number, "no answer", task.id))
