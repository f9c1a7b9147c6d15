"""A task's own randomness: the same in whatever group and order it is asked."""

from __future__ import annotations

from arc.task import Task
from hone.files import short_hash


def seed_of(task: Task, seed: int) -> int:
    """From the run's seed."""
    return int(short_hash(task.id, seed), 16)
