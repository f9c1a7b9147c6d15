"""Trains a fixed group of jobs, in two ways that build on the loop in training_queue.py.

`train_group` trains all jobs together, one slot each. `replay` repeats an earlier run bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from client.jobs import Job, Training
from client.leaving import Watch, all_steps
from client.seating import Seating
from client.training_queue import Done, Standing, TrainingQueue
from hone.errors import BadInput

if TYPE_CHECKING:
    from torch import nn

    from models.multilora.bank import AdapterBank


def train_group(
    model: nn.Module,
    jobs: Sequence[Job],
    targets: Sequence[str] = (),
    on_step: Callable[[Standing], None] = lambda standing: None,
) -> tuple[AdapterBank, list[Training]]:
    """Trains all jobs together, one slot each, through all of their steps. A job that meets a NaN
    is no longer changed, but its rows stay in the batch, so that the shapes of the others do not
    depend on it."""
    from models.multilora.bank import AdapterBank

    for job in jobs:
        job.check()
    bank = AdapterBank(model, [job.spec for job in jobs], targets)
    queue = TrainingQueue(bank, jobs, all_steps, on_step)
    for _ in queue:
        pass
    return bank, queue.trainings


def replay(bank: AdapterBank, jobs: Sequence[Job], seating: Seating) -> list[Done]:
    """Repeats the run with the schedule `seating`, for the same jobs by number: each job leaves
    after as many steps as then, whatever the reason was. It is repeated bit for bit if the bank is
    equal: `empty_bank(model, seating.slots, seating.width, ...)`."""
    if len(jobs) != len(seating.sittings):
        raise BadInput(f"the schedule is of {len(seating.sittings)} jobs, {len(jobs)} were given")
    if (len(bank.specs), bank.width) != (seating.slots, seating.width):
        raise BadInput(
            f"the schedule is of {seating.slots} slots of rank {seating.width}, the bank has"
            f" {len(bank.specs)} of rank {bank.width}"
        )
    stays = [len(sitting.step_tokens) for sitting in seating.sittings]
    queue = TrainingQueue(bank, jobs, lambda number, job: Watch(stays[number]))
    done = sorted(queue, key=lambda one: one.training.job)
    seating.check(queue.seating)
    return done
