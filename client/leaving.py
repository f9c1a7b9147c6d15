"""When a job leaves its slot: after its last step, or before that by one of the limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from client.jobs import Job, Training
from hone.errors import BadInput


class Watch:
    """Follows one job through its steps; this one lets it sit through all of them."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def early(self, training: Training, loss: float, exact: bool) -> str:
        """Why it leaves after a step that was not its last; empty: it stays."""
        return ""


Rule = Callable[[int, Job], Watch]  # a job's number and the job -> who watches it


def all_steps(number: int, job: Job) -> Watch:
    """Every job takes all of its steps, whatever happens."""
    return Watch(job.steps)


@dataclass(frozen=True)
class Limits:
    """What ends a training before its last step; 0: no such limit. A NaN always does."""

    seconds: float = 0.0  # in the slot
    plateau_patience: int = 0  # steps without an improvement
    plateau_delta: float = 0.01  # what counts as one: so much less, relative to the best
    solved: int = 0  # batches in a row whose answers were all exact before training on them

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
        """By a running mean over about as many steps as patience is had for."""
        weight = 2 / (self.limits.plateau_patience + 1)
        before = loss if self.smoothed is None else self.smoothed
        self.smoothed = before + weight * (loss - before)
        if self.smoothed < self.best * (1 - self.limits.plateau_delta):
            self.best, self.since_best = self.smoothed, 0
        else:
            self.since_best += 1
        return self.since_best >= self.limits.plateau_patience
