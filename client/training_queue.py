"""Continuous batching of trainings: K slots and a queue; when a job leaves, the next one enters.

    queue = TrainingQueue(bank, jobs, Limits(seconds=300).rule)
    for done in queue:              # as they leave; `jobs` may be made while others train
        done.training, done.adapter # None where the training met a NaN

Each job has its own items, order, rank, learning rate, optimizer and step count, so that training
it beside other jobs gives the same adapter as training it alone. The slot of each job depends only
on the jobs and the rule: free slots are filled with the next jobs, lowest slot first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.jobs import Item, Job, Training
from client.leaving import Rule, Watch
from client.seating import Seating

if TYPE_CHECKING:
    from torch import nn

    from models.multilora.bank import AdapterBank
    from models.multilora.peft_files import AdapterFiles


@dataclass(frozen=True)
class Done:
    """A job that left its slot, and its adapter."""

    training: Training
    adapter: AdapterFiles | None  # None: the training met a NaN


@dataclass(frozen=True)
class Standing:
    """How far a run has come, for progress reports."""

    entered: int  # number of jobs so far
    steps_done: int  # of jobs that entered; a job that left early counts as complete
    steps: int  # of jobs that entered, in all
    loss: float  # mean over the slots that are taken


@dataclass
class _Seat:
    job: Job
    training: Training
    watch: Watch
    feed: Iterator[list[Item]]

    @property
    def moves(self) -> bool:
        return self.training.quarantined_at is None

    @property
    def rate_share(self) -> float:
        return self.job.rate_share(len(self.training.step_tokens)) if self.moves else 0.0


class TrainingQueue:
    def __init__(
        self,
        bank: AdapterBank,
        jobs: Iterable[Job],
        rule: Rule,
        on_step: Callable[[Standing], None] = lambda standing: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bank, self.rule, self.on_step, self.clock = bank, rule, on_step, clock
        self.jobs = iter(jobs)
        self.seats: list[_Seat | None] = [None] * len(bank.specs)
        self.trainings: list[Training] = []  # in the order of job numbers
        self.step = 0
        self._steps_left_behind = 0  # sum over jobs that left

    def __iter__(self) -> Iterator[Done]:
        """Yields jobs as they leave. Between two of them the model has its own layers, so that the
        caller can use it."""
        while True:
            with self.bank:
                left = self._until_someone_leaves()
            if not left:
                return
            yield from left

    @property
    def is_empty(self) -> bool:
        """Whether no job is in training now."""
        return not any(self.seats)

    @property
    def seating(self) -> Seating:
        """The schedule so far."""
        return Seating.of(len(self.seats), self.bank.width, self.trainings)

    def _until_someone_leaves(self) -> list[Done]:
        left = self._fill()
        while not left and any(self.seats):
            left = self._train_step()
        return left

    def _fill(self) -> list[Done]:
        """Puts the next jobs into free slots. Jobs without steps leave at once and are returned."""
        left: list[Done] = []
        for slot in range(len(self.seats)):
            while self.seats[slot] is None and (job := next(self.jobs, None)) is not None:
                seat = self._seated(slot, job)
                if seat.watch.steps == 0:
                    left.append(self._leave(slot, seat, "steps"))
        return left

    def _seated(self, slot: int, job: Job) -> _Seat:
        job.check()
        training = Training(len(self.trainings), slot, self.step)
        for _, other in self._taken():
            other.training.peers.add(training.job)
            training.peers.add(other.training.job)
        self.bank.enter(slot, job.spec)
        if job.start is not None:
            self.bank.begin_from(slot, job.start)
        self.trainings.append(training)
        seat = _Seat(job, training, self.rule(training.job, job), job.batches())
        self.seats[slot] = seat
        return seat

    def _train_step(self) -> list[Done]:
        drawn = [next(seat.feed) if seat else [] for seat in self.seats]
        begun = self.clock()
        found = self.bank.backward([[(i.encoded, i.weight) for i in own] for own in drawn])
        moved = self.bank.step(
            [seat is not None and seat.moves for seat in self.seats],
            [seat.rate_share if seat else 0.0 for seat in self.seats],
        )
        losses, exact = found.losses_K.tolist(), found.exact_K.tolist()
        tokens = [sum(len(item.encoded) for item in own) for own in drawn]
        self._note(losses, moved, tokens, self.clock() - begun)
        self.step += 1
        self.on_step(self._standing(losses))
        reasons = [
            (slot, seat, _reason(seat, losses[slot], exact[slot])) for slot, seat in self._taken()
        ]
        return [self._leave(*leaving) for leaving in reasons if leaving[-1]]

    def _taken(self) -> list[tuple[int, _Seat]]:
        return [(slot, seat) for slot, seat in enumerate(self.seats) if seat is not None]

    def _note(
        self, losses: list[float], moved: list[bool], tokens: list[int], seconds: float
    ) -> None:
        for slot, seat in self._taken():
            training = seat.training
            if seat.moves and moved[slot]:
                training.losses.append(round(losses[slot], 5))
            elif seat.moves:
                training.quarantined_at = len(training.losses)
            training.step_tokens.append(tokens[slot])
            training.seconds += seconds
            training.share_seconds += seconds * tokens[slot] / sum(tokens)

    def _leave(self, slot: int, seat: _Seat, reason: str) -> Done:
        """Frees the slot, and copies the adapter before the next job enters."""
        training = seat.training
        values = self.bank.values_KP[slot]
        if seat.moves and not bool(values.isfinite().all()):  # its last step made a NaN
            training.quarantined_at = len(training.losses)
        training.left = reason if seat.moves else "quarantined"
        self.seats[slot] = None
        self._steps_left_behind += seat.job.steps
        return Done(training, self.bank.export(slot) if seat.moves else None)

    def _standing(self, losses: list[float]) -> Standing:
        seats = self._taken()
        return Standing(
            entered=len(self.trainings),
            steps_done=self._steps_left_behind
            + sum(len(seat.training.step_tokens) for _, seat in seats),
            steps=self._steps_left_behind + sum(seat.job.steps for _, seat in seats),
            loss=sum(losses[slot] for slot, _ in seats) / len(seats),
        )


def _reason(seat: _Seat, loss: float, exact: bool) -> str:
    if len(seat.training.step_tokens) >= seat.watch.steps:
        return "steps"
    return seat.watch.early(seat.training, loss, exact)


def empty_bank(
    model: nn.Module,
    slots: int,
    rank: int,
    targets: Sequence[str] = (),
    *,
    placement: str = "all",
    feature_cache_mb: int = 0,
    under: AdapterFiles | None = None,
    token_budget: int = 0,
    checkpointing: bool = False,
) -> AdapterBank:
    """A bank with slots for jobs of any rank up to `rank`, or to what the layers can hold."""
    from models.multilora.bank import AdapterBank, SlotSpec

    specs = [SlotSpec(rank=rank)] * slots
    return AdapterBank(
        model,
        specs,
        targets,
        placement=placement,
        feature_cache_mb=feature_cache_mb,
        under=under,
        token_budget=token_budget,
        checkpointing=checkpointing,
    )
