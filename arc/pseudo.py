"""Pseudo-tasks: what a task's own demos can teach before its test input is looked at.

`leave_one_out` asks for each demo from the others; `direct_pairs` asks for each demo from its input
alone. Neither reads the test pairs, so nothing of the answer can leak into training.
"""

from __future__ import annotations

from arc.task import Task


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
