"""Test-time training: jobs go in, trained adapters come out, K at a time over one frozen base.

Each job keeps to its own items, order, rank, learning rate and number of steps; training it beside
others gives what training it alone gives. A job that meets a NaN stands still and is reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from hone.errors import BadInput

if TYPE_CHECKING:
    from torch import nn

    from arc.formats import Encoded
    from models.multilora.bank import AdapterBank, SlotSpec


@dataclass(frozen=True)
class Item:
    """One sequence to train on and what it counts for within its step."""

    encoded: Encoded
    weight: float = 1.0


@dataclass(frozen=True)
class Job:
    """One adapter to train: its items, and how."""

    items: Sequence[Item]
    spec: SlotSpec
    steps: int
    batch: int = 1
    shuffle: bool = True
    warmup: float = 0.1  # share of the steps; the rate then falls linearly to zero

    def batches(self) -> Iterator[list[Item]]:
        """Endless batches: every item once an epoch, in an order drawn from the seed."""
        rng = Random(self.spec.seed)
        waiting: list[Item] = []
        while True:
            while len(waiting) < self.batch:
                epoch = list(self.items)
                if self.shuffle:
                    rng.shuffle(epoch)
                waiting += epoch
            yield waiting[: self.batch]
            del waiting[: self.batch]

    def rate_share(self, step: int) -> float:
        rising = (step + 1) / max(1.0, self.warmup * self.steps)
        return min(1.0, rising, (self.steps - step) / max(1.0, (1 - self.warmup) * self.steps))


@dataclass
class Training:
    """How a job went, for the trace."""

    slot: int
    losses: list[float] = field(default_factory=list)
    tokens: int = 0
    quarantined_at: int | None = None


def train_group(
    model: nn.Module,
    jobs: Sequence[Job],
    targets: Sequence[str] = (),
    on_step: Callable[[int, int, float], None] | None = None,
) -> tuple[AdapterBank, list[Training]]:
    """Train all jobs together, a slot each; the model gets its own layers back."""
    from models.multilora.bank import AdapterBank

    for job in jobs:
        _check(job)
    bank = AdapterBank(model, [job.spec for job in jobs], targets)
    with bank:
        return bank, _run(bank, jobs, on_step)


def _run(
    bank: AdapterBank, jobs: Sequence[Job], on_step: Callable[[int, int, float], None] | None
) -> list[Training]:
    feeds = [job.batches() for job in jobs]
    trainings = [Training(slot) for slot in range(len(jobs))]
    steps = max(job.steps for job in jobs)
    for step in range(steps):
        moving = [
            step < job.steps and training.quarantined_at is None
            for job, training in zip(jobs, trainings, strict=True)
        ]
        drawn = [next(feed) for feed in feeds]
        losses = bank.backward(
            [[(i.encoded, i.weight) for i in own] for own in drawn]
        ).losses_K.tolist()
        share = [job.rate_share(step) if go else 0.0 for job, go in zip(jobs, moving, strict=True)]
        moved = bank.step(moving, share)
        for training, go, went, loss, own in zip(
            trainings, moving, moved, losses, drawn, strict=True
        ):
            _note(training, step, go, went, loss, own)
        if on_step:
            on_step(step + 1, steps, sum(losses) / len(losses))
    return trainings


def _note(
    training: Training, step: int, go: bool, went: bool, loss: float, drawn: list[Item]
) -> None:
    if go and went:
        training.losses.append(round(loss, 5))
        training.tokens += sum(len(item.encoded) for item in drawn)
    elif go:
        training.quarantined_at = step


def _check(job: Job) -> None:
    if not job.items:
        raise BadInput("there is nothing to train on: the query has no examples that fit")
    for name in ("learning_rate", "alpha", "weight_decay"):
        if not math.isfinite(value := getattr(job.spec, name)):
            raise BadInput(f"{name} is {value}; a finite number was expected")
    if job.steps < 0 or job.batch < 1:
        raise BadInput(f"{job.steps} steps of {job.batch} items cannot be trained")
