"""The three sides of the comparison. Each trains the same K new adapters on the same items.

    grouped   this engine, all K at once
    solo      this engine, one after another in a bank of one slot
    peft      stock PEFT, one after another

An adapter is set up before the clock starts; then `steps` consecutive updates are timed, as in a
training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from eval.bench.peft_seat import Feed, PeftSeat
from models.matrix_speed import now
from models.multilora.bank import AdapterBank, SlotSpec

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from arc.formats import Encoded
    from models.multilora.peft_files import AdapterFiles


@dataclass(frozen=True)
class Work:
    """K adapters to train, with one item each and the same number of steps."""

    specs: Sequence[SlotSpec]
    items: Sequence[Encoded]
    steps: int

    @property
    def first(self) -> Work:
        """The work of the first adapter alone, to warm up with."""
        return Work(self.specs[:1], self.items[:1], self.steps)


@dataclass(frozen=True)
class Timed:
    step_s: float  # seconds of a step of all K adapters
    losses: list[list[float]]  # one list per adapter, with a value per step


class Side(Protocol):
    def warm_up(self, work: Work) -> None: ...
    def run(self, work: Work) -> Timed: ...


class Grouped:
    def __init__(self, model: PreTrainedModel, specs: Sequence[SlotSpec]) -> None:
        self.bank = AdapterBank(model, specs)
        self.device = model.device

    def warm_up(self, work: Work) -> None:
        self.run(work)

    def run(self, work: Work) -> Timed:
        for slot, spec in enumerate(work.specs):
            self.bank.enter(slot, spec)
        with self.bank:
            begun = now(self.device)
            found = self.steps(work)
            seconds = now(self.device) - begun
        losses = [list(own) for own in zip(*(step.tolist() for step in found), strict=True)]
        return Timed(seconds / work.steps, losses)

    def steps(self, work: Work) -> list[torch.Tensor]:
        """Makes the steps and returns the losses of each, one per adapter."""
        all_of_them = [True] * len(work.specs)
        slots = [[(item, 1.0)] for item in work.items]
        found = []
        for _ in range(work.steps):
            found.append(self.bank.backward(slots).losses_K)
            self.bank.step(all_of_them, [1.0] * len(slots))
        return found


class Solo:
    def __init__(self, model: PreTrainedModel, spec: SlotSpec) -> None:
        self.alone = Grouped(model, [spec])

    def warm_up(self, work: Work) -> None:
        self.run(work.first)

    def run(self, work: Work) -> Timed:
        parts = [
            self.alone.run(Work([spec], [item], work.steps))
            for spec, item in zip(work.specs, work.items, strict=True)
        ]
        return Timed(sum(part.step_s for part in parts), [part.losses[0] for part in parts])


class Peft:
    def __init__(self, seat: PeftSeat, starts: Sequence[AdapterFiles]) -> None:
        """`starts` are the first values of the adapters."""
        self.seat, self.starts = seat, starts

    def warm_up(self, work: Work) -> None:
        self.run(work.first)

    def run(self, work: Work) -> Timed:
        seconds, losses = 0.0, []
        for item, start in zip(work.items, self.starts[: len(work.items)], strict=True):
            feed = Feed.of([item], self.seat.device)
            self.seat.enter(start)
            begun = now(self.seat.device)
            found = [self.seat.step(feed) for _ in range(work.steps)]
            seconds += now(self.seat.device) - begun
            losses.append([float(loss) for loss in found])
        return Timed(seconds / work.steps, losses)


def first_values(
    model: PreTrainedModel, specs: Sequence[SlotSpec], targets: Sequence[str] = ()
) -> list[AdapterFiles]:
    """The first values of each adapter in this engine, so that PEFT can begin with the same."""
    bank = AdapterBank(model, specs[:1], targets)
    starts = []
    for spec in specs:
        bank.enter(0, spec)
        starts.append(bank.export(0))
    return starts


def largest_gap(one: Timed, other: Timed) -> float:
    """The largest difference between the losses of two sides."""
    pairs = [
        (a, b)
        for mine, theirs in zip(one.losses, other.losses, strict=True)
        for a, b in zip(mine, theirs, strict=True)
    ]
    return max(abs(a - b) for a, b in pairs)
