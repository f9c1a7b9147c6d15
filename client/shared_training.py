"""Trains one adapter through all of its steps, and can be killed at any time.

Started again, it resumes from its last checkpoint and ends bit for bit as if it had not been
interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from client.jobs import Item, Job
from hone.errors import BadInput

if TYPE_CHECKING:
    from models.multilora.bank import AdapterBank

EVERY = 30.0  # seconds of training from one checkpoint to the next


@dataclass
class Course:
    """The progress of the training."""

    losses: list[float]
    seconds: float = 0.0  # including those before a kill, as of the last checkpoint
    saved_at: float = 0.0


def train_resumably(
    bank: AdapterBank,
    job: Job,
    checkpoint: Path,
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> Course:
    """Trains the job in the bank's first slot. The bank must be installed in the model."""
    job.check()
    bank.enter(0, job.spec)
    course = _where_it_stood(checkpoint, bank)
    for batch in islice(job.batches(), len(course.losses), job.steps):
        _step(course, bank, job, batch)
        progress(f"shared adapter, loss {course.losses[-1]:.3f}", len(course.losses), job.steps)
        _save_in_time(course, bank, checkpoint)
    return course


def _step(course: Course, bank: AdapterBank, job: Job, batch: Sequence[Item]) -> None:
    begun = time.monotonic()
    found = bank.backward([[(item.encoded, item.weight) for item in batch]])
    (moved,) = bank.step([True], [job.rate_share(len(course.losses))])
    if not moved:
        raise BadInput(
            f"the shared adapter's training gave a NaN at step {len(course.losses)} of {job.steps};"
            f" give a --cohort_learning_rate below {job.spec.learning_rate:g}"
        )
    course.losses.append(round(float(found.losses_K[0]), 5))
    course.seconds += time.monotonic() - begun


def _save_in_time(course: Course, bank: AdapterBank, checkpoint: Path) -> None:
    from models.multilora.slot_files import write_slot

    if course.seconds - course.saved_at >= EVERY:
        course.saved_at = course.seconds
        told = {"losses": course.losses, "seconds": course.seconds}
        write_slot(checkpoint, bank.snapshot(0), told)


def _where_it_stood(checkpoint: Path, bank: AdapterBank) -> Course:
    """Restores the checkpoint of a killed run into the bank and returns its progress; without a
    checkpoint, returns no progress."""
    from models.multilora.slot_files import read_slot

    if not checkpoint.is_file():
        return Course([])
    state, told = read_slot(checkpoint, bank.specs[0])
    bank.restore(0, state)
    return Course(list(told["losses"]), told["seconds"], told["seconds"])
