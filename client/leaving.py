"""Decides when a job leaves its slot: after its last step, or earlier when it reaches a limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from client.jobs import Job, Training
from hone.errors import BadInput


class Watch:
    """Decides after each step whether a job leaves. This class lets it take all of its steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def early(self, training: Training, loss: float, exact: bool) -> str:
        """The reason to leave after a step that was not its last; empty if it stays."""
        return ""


Rule = Callable[[int, Job], Watch]  # a job's number and the job -> its watch


def all_steps(number: int, job: Job) -> Watch:
    """A rule by which every job takes all of its steps, even after a NaN."""
    return Watch(job.steps)


@dataclass(frozen=True)
class Limits:
    """Limits that end a training before its last step; 0 means no limit. A NaN always ends it."""

    seconds: float = 0.0  # time spent in the slot
    plateau_patience: int = 0  # number of steps without an improvement
    plateau_delta: float = 0.01  # least improvement that counts, relative to the best loss
    solved: int = 0  # batches in a row that were predicted exactly before training on them

    def __post_init__(self) -> None:
        for name in ("seconds", "plateau_patience", "plateau_delta", "solved"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise BadInput(f"{name} is {value}; 0 or a finite number above it was expected")

    def rule(self, number: int, job: Job) -> Watch:
        return _LimitWatch(self, job.steps)


class _LimitWatch(Watch):
    def __init__(self, limits: Limits, steps: int) -> None:
        super().__init__(steps)
        self.limits = limits
        self.exact_in_a_row = 0
        self.smoothed: float | None = None
        self.best, self.since_best = math.inf, 0

    def early(self, training: Training, loss: float, exact: bool) -> str:
        if training.quarantined_at is not None:
            return "quarantined"
        limits = self.limits
        self.exact_in_a_row = self.exact_in_a_row + 1 if exact else 0
        if limits.solved and self.exact_in_a_row >= limits.solved:
            return "solved"
        if limits.plateau_patience and self._has_stalled(loss):
            return "plateau"
        return "time" if limits.seconds and training.seconds >= limits.seconds else ""

    def _has_stalled(self, loss: float) -> bool:
        """Whether the loss has stopped improving, smoothed over about `plateau_patience` steps."""
        weight = 2 / (self.limits.plateau_patience + 1)
        before = loss if self.smoothed is None else self.smoothed
        self.smoothed = before + weight * (loss - before)
        if self.smoothed < self.best * (1 - self.limits.plateau_delta):
            self.best, self.since_best = self.smoothed, 0
        else:
            self.since_best += 1
        return self.since_best >= self.limits.plateau_patience
