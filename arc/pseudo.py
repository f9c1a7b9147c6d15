"""Pseudo-tasks: what a task's own demos can teach before its test input is looked at.

`leave_one_out` asks for each demo from the others; `direct_pairs` asks for each demo from its input
alone. Neither reads the test pairs, so nothing of the answer can leak into training.
"""

from __future__ import annotations

import random

from arc.augment import Augmentation, random_augmentation
from arc.task import Task
from hone.errors import BadInput


def leave_one_out(task: Task) -> list[Task]:
    """One task a demo: that demo is the test, the others are the demos.

    A task with a single demo gives none: without demos there is no rule to infer, and showing the
    one pair as demo and test at once would teach copying.
    """
    if len(task.train) < 2:
        return []
    return [
        Task(f"{task.id}.loo{i}", task.train[:i] + task.train[i + 1 :], (held_out,))
        for i, held_out in enumerate(task.train)
    ]


def direct_pairs(task: Task) -> list[Task]:
    """One task a demo, with that demo as the test and no demos at all."""
    return [Task(f"{task.id}.direct{i}", (), (pair,)) for i, pair in enumerate(task.train)]


def augmented_leave_one_out(task: Task, count: int, seed: int) -> list[tuple[Augmentation, Task]]:
    """`count` leave-one-out tasks in turn, each in a random look of its own, which is named.

    The first ones do not change when `count` grows.
    """
    held_out = leave_one_out(task)
    if not held_out:
        raise BadInput(f"task {task.id} has {len(task.train)} demo; leave-one-out needs at least 2")
    rng = random.Random(seed)
    chosen = [held_out[i % len(held_out)] for i in range(count)]
    looks = [random_augmentation(rng, len(pseudo.train)) for pseudo in chosen]
    return [(look, look.apply(pseudo)) for look, pseudo in zip(looks, chosen, strict=True)]
