"""The data of test-time training: items, jobs, and the record of a job's training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

from hone.errors import BadInput
from models.multilora.schedule import FALLS, rate_share

if TYPE_CHECKING:
    from arc.formats import Encoded
    from client.settings import Settings
    from models.multilora.bank import SlotSpec
    from models.multilora.peft_files import AdapterFiles


_LARGEST = 3e38  # just below the largest fp32 number


@dataclass(frozen=True)
class Item:
    """One sequence to train on, its weight relative to the others, and what it was made from."""

    encoded: Encoded
    weight: float = 1.0
    name: str = ""


def evened(items: Sequence[Item]) -> list[Item]:
    """The items with weights scaled to a mean of 1, so that a weighted step is about as long as an
    unweighted one."""
    mean = sum(item.weight for item in items) / len(items)
    if mean in (0, 1):
        return list(items)
    return [replace(item, weight=item.weight / mean) for item in items]


@dataclass(frozen=True)
class Job:
    """One adapter to train: its items and its hyperparameters."""

    items: Sequence[Item]
    spec: SlotSpec
    steps: int
    batch: int = 1
    shuffle: bool = True
    schedule: str = "linear"
    warmup: float = 0.1  # share of the steps
    # the adapter it begins from; None: fresh values from the seed
    start: AdapterFiles | None = None

    def batches(self) -> Iterator[list[Item]]:
        """Yields endless batches. Every item comes once per epoch, in an order drawn from the seed
        if `shuffle` is set."""
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
        return rate_share(self.schedule, step, self.steps, self.warmup)

    @property
    def work(self) -> int:
        """Roughly the number of tokens that it will be trained on."""
        tokens = sum(len(item.encoded) for item in self.items)
        return self.steps * self.batch * tokens // len(self.items)

    def check(self) -> None:
        """Refuses a job that cannot be trained, before it takes a slot."""
        if not self.items:
            raise BadInput("there is nothing to train on: the query has no examples that fit")
        for name in ("learning_rate", "alpha", "weight_decay", "clip_norm"):
            if not abs(value := getattr(self.spec, name)) < _LARGEST:
                raise BadInput(f"{name} is {value}; a finite number was expected")
        if self.steps < 0 or self.batch < 1:
            raise BadInput(
                f"steps is {self.steps}, batch {self.batch}; give at least 0 steps and 1 item"
            )
        if not 0 <= self.spec.dropout < 1:
            raise BadInput(f"dropout is {self.spec.dropout}; give a share from 0 to below 1")
        if self.schedule not in FALLS:
            raise BadInput(f"no schedule {self.schedule!r}; there are: {', '.join(FALLS)}")
        if not 0 <= self.warmup <= 1:
            raise BadInput(f"warmup is {self.warmup}; give a share of the steps from 0 to 1")


def job_of(items: Sequence[Item], settings: Settings) -> Job:
    """The job that trains one adapter on these items with these settings."""
    from models.multilora.bank import SlotSpec

    epochs = settings.num_epochs * -(-len(items) // settings.batch_size)
    spec = SlotSpec(
        rank=settings.lora_rank,
        alpha=settings.lora_alpha,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        clip_norm=settings.clip_norm,
        seed=settings.seed,
        dropout=settings.lora_dropout,
        use_rslora=settings.use_rslora,
    )
    return Job(
        evened(items),
        spec,
        settings.steps or epochs,
        min(settings.batch_size, len(items)),
        settings.shuffle_ttt_samples,
        settings.schedule,
        settings.warmup,
    )


@dataclass
class Training:
    """The record of a job's training, for the trace. Steps of the run are steps of its queue."""

    job: int  # its number, in the order in which the jobs entered
    slot: int
    entered_at: int = 0  # step of the run at which it entered
    left: str = ""  # reason: steps, time, plateau, solved, quarantined
    losses: list[float] = field(default_factory=list)
    # its tokens in every step that it was in a slot
    step_tokens: list[int] = field(default_factory=list)
    quarantined_at: int | None = None  # its own step that met a NaN
    seconds: float = 0.0  # time spent in its slot
    share_seconds: float = 0.0  # each step's time, shared out by tokens
    peers: set[int] = field(default_factory=set)  # jobs that were in other slots meanwhile

    @property
    def left_at(self) -> int:
        """The first step of the run that it no longer took part in."""
        return self.entered_at + len(self.step_tokens)

    @property
    def tokens(self) -> int:
        """Tokens that it was trained on; those after a NaN changed nothing and are not counted."""
        return sum(self.step_tokens[: len(self.losses)])
