"""`--mode cohort`: one shared adapter is trained on the demos of all tasks, below each task's own.

    stand_on_shared(adaptation, tasks)      # trains or reads the shared adapter, in cohort mode

    <cohort_dir>/<fingerprint>/adapter/                a PEFT folder, once training is complete
    <cohort_dir>/<fingerprint>/checkpoint.safetensors  until then; a killed run resumes from it

The fingerprint covers everything that shapes the adapter: demos, settings, base. Only demos are
trained on, and a task is left out if one of its demos shows the answer to any task's test input.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from arc.grid import spell
from arc.task import Task, task_to_json
from client.arc_items import own_items, shows_any
from client.jobs import Item, Job, job_of
from client.shared_training import train_resumably
from hone.errors import BadInput
from hone.files import short_hash

if TYPE_CHECKING:
    from client.adaptation import Adaptation
    from client.settings import Settings
    from models.multilora.peft_files import AdapterFiles

CHECKPOINT = "checkpoint.safetensors"
_SHAPING = (
    *("lora_rank", "lora_alpha", "use_rslora", "lora_dropout", "target_modules", "adapter_layers"),
    *("schedule", "warmup", "weight_decay", "clip_norm", "seed", "loss_on"),
    *("augmentations", "permuted_share", "leave_out", "direct_pairs"),
    *("num_pseudo", "num_epochs", "batch_size", "learning_rate"),
)


@dataclass(frozen=True)
class SharedAdapter:
    fingerprint: str
    files: AdapterFiles

    @property
    def seconds_a_task(self) -> float:
        """Training seconds of the shared adapter divided by the number of submitted tasks."""
        told = self.files.extra
        return float(told["seconds"]) / int(told["tasks"])


@dataclass(frozen=True)
class _Lesson:
    """The training items of a cohort, and counts of what was left out."""

    tasks: int  # number submitted
    withheld: int  # tasks left out because a demo shows an answer
    too_long: int  # items left out, longer than the base's context
    items: list[Item]


def stand_on_shared(adaptation: Adaptation, tasks: Sequence[Task]) -> None:
    """In cohort mode, trains the adapters of these and all later tasks on top of an adapter shared
    by these tasks; in strict mode, on top of none."""
    adaptation.stand_on(None)
    if adaptation.settings.mode == "cohort" and tasks:
        adaptation.stand_on(_shared_adapter(adaptation, tasks))


def _shared_adapter(adaptation: Adaptation, tasks: Sequence[Task]) -> SharedAdapter:
    from models.multilora.peft_files import read_adapter, write_adapter

    settings, base = _settings_of(adaptation.settings), adaptation.base
    how = {name: getattr(settings, name) for name in _SHAPING}
    given = [(task.id, task_to_json(task.without_answers())) for task in tasks]
    fingerprint = short_hash(base.fingerprint, base.context, how, given)
    folder = adaptation.settings.cohort_dir / fingerprint
    there = folder / "adapter"
    # refuse tasks that cannot be trained on before anything is written
    lesson = None if there.is_dir() else _lesson(adaptation, tasks, settings)
    with _alone_in(folder):
        if lesson is not None and not there.is_dir():
            trained = _trained(adaptation, lesson, job_of(lesson.items, settings), folder)
            write_adapter(there, trained, base.path)
        (folder / CHECKPOINT).unlink(missing_ok=True)
        return SharedAdapter(fingerprint, read_adapter(there))


def _settings_of(settings: Settings) -> Settings:
    """The settings for training the shared adapter. Limits that end a task's own training early do
    not apply to it."""
    return dataclasses.replace(
        settings,
        num_pseudo=settings.cohort_items,
        num_epochs=settings.cohort_epochs,
        batch_size=settings.cohort_batch_size,
        learning_rate=settings.cohort_learning_rate or settings.learning_rate,
        steps=0,
        shuffle_ttt_samples=True,
    )


def _lesson(adaptation: Adaptation, tasks: Sequence[Task], settings: Settings) -> _Lesson:
    asked = {spell(pair.input) for task in tasks for pair in task.test}
    taught = [task for task in tasks if not shows_any(dataclasses.replace(task, test=()), asked)]
    base = adaptation.base
    made = [item for task in taught for item in own_items(task, base.format, settings)]
    items = [item for item in made if len(item.encoded) <= base.context]
    if not items:
        raise BadInput(
            f"none of the {len(tasks)} tasks has demos to train a shared adapter on: a task needs"
            " at least two that fit the base's context and show no task's answer; use --mode strict"
        )
    return _Lesson(len(tasks), len(tasks) - len(taught), len(made) - len(items), items)


def _trained(adaptation: Adaptation, lesson: _Lesson, job: Job, folder: Path) -> AdapterFiles:
    with adaptation.layout as layout, layout.bank([job], 1) as bank:
        course = train_resumably(bank, job, folder / CHECKPOINT, adaptation.progress)
        told = {
            "mode": "cohort",
            "tasks": lesson.tasks,
            "withheld": lesson.withheld,
            "items": len(lesson.items),
            "items_too_long": lesson.too_long,
            "losses": course.losses,
            "seconds": round(course.seconds, 3),
            "seed": job.spec.seed,
        }
        return dataclasses.replace(bank.export(0), extra=told)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Locks the cohort's folder: of two runs of one cohort, the second waits and finds the adapter
    trained. Deletes what a killed run left half-written."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for half in folder.glob(".*"):
            shutil.rmtree(half) if half.is_dir() else half.unlink()
        yield
    finally:
        os.close(handle)
