"""How a training is laid out so that it fits: chosen before it starts.

First fewer tokens at once, down to a single item; then checkpointing; then fewer adapters. None of
these changes what is learned, beyond rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from hone.errors import BadInput
from models.decoding.prefill import TOKEN_BUDGET as READ
from models.decoding.write import Bounds
from models.memory.footprint import Footprint, decoding_bytes

MANY = 1 << 40  # tokens
FILL = 0.8  # of the room, by estimate: what an allocator wastes is not in it


@dataclass(frozen=True)
class Wanted:
    """What is to be trained and answered."""

    k: int
    k_is_asked: bool  # by the user, for this number: it is not lowered but refused
    longest: int  # item, in tokens
    step: int  # tokens of one adapter's step
    answer: int = 0  # tokens of the longest row that is written, its prompt among them
    features: int = 0  # bytes for what layers below all adapters computed (features.py)
    features_are_asked: bool = False
    token_budget: int = 0  # never more at once; 0: all of a step


@dataclass(frozen=True)
class Limit:
    size: int  # bytes
    name: str  # as the user knows it

    def __str__(self) -> str:
        return f"{self.name} ({mb(self.size)} MB)" if self.name.startswith("the") else self.name


@dataclass(frozen=True)
class Plan:
    k: int
    token_budget: int  # 0: all of a step
    checkpointing: bool
    features: int  # bytes
    bounds: Bounds  # while answers are written
    peak: int  # bytes, estimated, with what is there already
    notes: tuple[str, ...] = ()


def plan(footprint: Footprint, wanted: Wanted, limit: Limit, now: int) -> Plan:
    """The largest layout that fits beside the `now` bytes that are there; BadInput where none
    does."""
    found = _most(wanted.k, lambda k: _layout(footprint, replace(wanted, k=k), limit, now))
    if found is None:
        raise _nothing_fits(footprint, wanted, limit, now)
    if found.k < wanted.k and wanted.k_is_asked:
        raise BadInput(
            f"K {wanted.k} does not fit into {limit}: it needs about"
            f" {_least_mb(footprint, wanted, now)} MB; the largest that fits is {found.k}"
        )
    return replace(found, notes=_notes(found, wanted, limit))


def bounds_alone(model: nn.Module, limit: Limit, now: int) -> Bounds:
    """While the base answers as it is."""
    token = decoding_bytes(model)
    room = FILL * (limit.size - now)
    read = max(1, min(READ, int(room / 2 / max(token["reading"], 1))))
    return Bounds(max(1, int((room - read * token["reading"]) / token["cached"])), read)


def _layout(footprint: Footprint, wanted: Wanted, limit: Limit, now: int) -> Plan | None:
    """For this K; None where it does not fit at all."""
    room = FILL * (limit.size - now)
    features = _features(footprint, wanted, room)
    room -= features
    answers = _answers(footprint, wanted, room)
    if answers is None:
        return None
    step = wanted.k * wanted.step
    most = max(wanted.longest, min(step, wanted.token_budget or step))
    for checkpointing in (False, True) if footprint.checkpoints else (False,):

        def bytes_of(tokens: int, checkpointing: bool = checkpointing) -> float:
            return footprint.training(wanted.k, tokens, wanted.longest, checkpointing=checkpointing)

        if bytes_of(wanted.longest) <= room:
            fitting = _largest(wanted.longest, most, lambda tokens: bytes_of(tokens) <= room)
            budget = 0 if fitting >= step else fitting
            peak = now + features + int(bytes_of(fitting))
            return Plan(wanted.k, budget, checkpointing, features, answers, peak)
    return None


def _features(footprint: Footprint, wanted: Wanted, room: float) -> int:
    """Unless it was asked for, no more than a part of the room."""
    if not footprint.features:
        return 0
    return wanted.features if wanted.features_are_asked else min(wanted.features, int(room / 4))


def _answers(footprint: Footprint, wanted: Wanted, room: float) -> Bounds | None:
    """None where not even one row's tokens fit."""
    read = min(READ, max(wanted.answer, 1))
    if footprint.answering(wanted.k, kept=wanted.answer, read=read) > room:
        return None
    kept = _largest(
        wanted.answer,
        MANY,
        lambda kept: footprint.answering(wanted.k, kept=kept, read=min(READ, kept)) <= room,
    )
    return Bounds(kept, min(READ, kept))


def _most(k: int, layout: Callable[[int], Plan | None]) -> Plan | None:
    """That of the largest K up to this one that has any."""
    fitting = _largest(0, k, lambda some: some == 0 or layout(some) is not None)
    return layout(fitting) if fitting else None


def _largest(low: int, high: int, fits: Callable[[int], bool]) -> int:
    """The largest number that fits, of those from `low`, which does, to `high`."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _notes(found: Plan, wanted: Wanted, limit: Limit) -> tuple[str, ...]:
    told = []
    if found.k < wanted.k:
        told.append(f"K {found.k} instead of {wanted.k}")
    if found.token_budget and found.token_budget != wanted.token_budget:
        told.append(f"{found.token_budget} tokens at once")
    if found.checkpointing:
        told.append("layers are computed again on the way back")
    return (f"to fit into {limit}: {', '.join(told)}",) if told else ()


def _nothing_fits(footprint: Footprint, wanted: Wanted, limit: Limit, now: int) -> BadInput:
    least = _least_mb(footprint, replace(wanted, k=1), now)
    return BadInput(
        f"one adapter does not fit into {limit}: {mb(now)} MB are taken already, and training on"
        f" {wanted.longest} tokens needs about {least} MB in all; give that much, a lower"
        " --lora_rank or a smaller base"
    )


def _least_mb(footprint: Footprint, wanted: Wanted, now: int) -> int:
    """What the limit would have to be."""
    training = footprint.training(
        wanted.k, wanted.longest, wanted.longest, checkpointing=footprint.checkpoints
    )
    read = min(READ, wanted.answer)
    answering = footprint.answering(wanted.k, kept=wanted.answer, read=read)
    features = wanted.features if footprint.features and wanted.features_are_asked else 0
    return mb(now + int((max(training, answering) + features) / FILL)) + 1


def mb(size: int) -> int:
    return size >> 20
