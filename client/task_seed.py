"""The seed of a task's random choices, the same in whatever group and order tasks are solved."""

from __future__ import annotations

from arc.task import Task
from hone.files import short_hash


def seed_of(task: Task, seed: int) -> int:
    return int(short_hash(task.id, seed), 16)
