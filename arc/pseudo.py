"""Pseudo-tasks: tasks made of a task's own demos, to train on before its test input is read.

`leave_one_out` asks for each demo given the others, `leave_two_out` given the others but one,
`direct_pairs` given its input alone. None of them reads the test pairs, so nothing of the answer
can leak into training.
"""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import cycle, islice

from arc.augment import Augmentation
from arc.recipes import USUAL, Recipe
from arc.task import Task
from hone.errors import BadInput


def leave_one_out(task: Task) -> list[Task]:
    """One task for each demo: that demo is the test, the others are the demos.

    A task with a single demo gives none: without demos there is no rule to infer, and showing the
    one pair as demo and test at once would teach copying.
    """
    if len(task.train) < 2:
        return []
    return [
        Task(f"{task.id}.loo{i}", task.train[:i] + task.train[i + 1 :], (held_out,))
        for i, held_out in enumerate(task.train)
    ]


def leave_two_out(task: Task) -> list[Task]:
    """One task for each demo that is the test and each other demo that is left out. Every demo is
    the test once before any is the test twice.

    A task of two demos gives none, for the same reason as above.
    """
    count = len(task.train)
    if count < 3:
        return []
    pairs = [(i, (i + apart) % count) for apart in range(1, count) for i in range(count)]
    return [
        Task(
            f"{task.id}.lto{i}-{j}",
            tuple(pair for k, pair in enumerate(task.train) if k not in (i, j)),
            (task.train[i],),
        )
        for i, j in pairs
    ]


def direct_pairs(task: Task) -> list[Task]:
    """One task for each demo: that demo is the test, and there are no demos."""
    return [Task(f"{task.id}.direct{i}", (), (pair,)) for i, pair in enumerate(task.train)]


def without_demos(task: Task) -> Task:
    """The task with its test pairs alone."""
    return replace(task, train=())


def augmented_pseudo_tasks(
    task: Task,
    count: int,
    seed: int,
    recipe: Recipe = USUAL,
    leave_out: int = 1,
    direct: bool = False,
) -> list[tuple[Augmentation, Task]]:
    """`count` pseudo-tasks, each under an augmentation that is returned with it: leave-one-out
    tasks in turn; with `leave_out` 2 every second one is a leave-two-out task, where there are any;
    with `direct` all are direct pairs.

    A larger `count` only adds tasks at the end.
    """
    if direct:
        kinds = [direct_pairs(task)]
    elif len(task.train) < 2:
        raise BadInput(f"task {task.id} has {len(task.train)} demo; leave-one-out needs at least 2")
    else:
        kinds = [leave_one_out(task), leave_two_out(task) if leave_out == 2 else []]
    turns = cycle([cycle(kind) for kind in kinds if kind])
    rng = random.Random(seed)
    chosen = [next(turn) for turn in islice(turns, count)]
    looks = [recipe.draw(rng, pseudo) for pseudo in chosen]
    return [(look, look.apply(pseudo)) for look, pseudo in zip(looks, chosen, strict=True)]
