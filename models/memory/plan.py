"""Chooses, before a training starts, how it is laid out so that it fits into the memory.

First fewer tokens are computed at once, down to a single item; then layers are checkpointed; then
fewer adapters are trained together. None of these changes what is learned, beyond rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from hone.errors import BadInput
from models.decoding.prefill import TOKEN_BUDGET as READ
from models.decoding.write import Bounds
from models.memory.footprint import Footprint, decoding_bytes

MANY = 1 << 40  # tokens: more than any memory holds
FILL = 0.8  # share of the room that estimates may fill; they leave out what allocators waste


@dataclass(frozen=True)
class Wanted:
    """The training and answering to be planned."""

    k: int
    k_is_asked: bool  # the user asked for this K: where it does not fit, it is refused, not lowered
    longest: int  # tokens of the longest item
    step: int  # tokens of one adapter's step
    answer: int = 0  # tokens of the longest prompt together with its answer
    features: int = 0  # bytes for the cached outputs of layers below all adapters (features.py)
    features_are_asked: bool = False  # the user asked for so many
    token_budget: int = 0  # most tokens at once; 0: all of a step


@dataclass(frozen=True)
class Limit:
    size: int  # bytes
    name: str  # as messages call it

    def __str__(self) -> str:
        return f"{self.name} ({mb(self.size)} MB)" if self.name.startswith("the") else self.name


@dataclass(frozen=True)
class Plan:
    k: int
    token_budget: int  # most tokens at once; 0: all of a step
    checkpointing: bool
    features: int  # bytes for cached outputs of layers below all adapters
    bounds: Bounds  # while answers are written
    peak: int  # estimated bytes, with those that the process holds already
    notes: tuple[str, ...] = ()  # what was changed to fit


def plan(footprint: Footprint, wanted: Wanted, limit: Limit, now: int) -> Plan:
    """The largest layout that fits beside the `now` bytes already held; BadInput if none does."""
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
    """The bounds while the base answers without adapters."""
    token = decoding_bytes(model)
    room = FILL * (limit.size - now)
    read = max(1, min(READ, int(room / 2 / max(token["reading"], 1))))
    return Bounds(max(1, int((room - read * token["reading"]) / token["cached"])), read)


def _layout(footprint: Footprint, wanted: Wanted, limit: Limit, now: int) -> Plan | None:
    """The layout for this K; None where it does not fit at all."""
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
    """Bytes for cached features: what the user asked for, else at most a quarter of the room."""
    if not footprint.features:
        return 0
    return wanted.features if wanted.features_are_asked else min(wanted.features, int(room / 4))


def _answers(footprint: Footprint, wanted: Wanted, room: float) -> Bounds | None:
    """The bounds that fit while answers are written; None where not even one row fits."""
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
    """The layout of the largest K up to `k` that fits."""
    fitting = _largest(0, k, lambda some: some == 0 or layout(some) is not None)
    return layout(fitting) if fitting else None


def _largest(low: int, high: int, fits: Callable[[int], bool]) -> int:
    """The largest number from `low` to `high` that fits; `low` is known to fit."""
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
        told.append("layers are computed again in the backward pass")
    return (f"to fit into {limit}: {', '.join(told)}",) if told else ()


def _nothing_fits(footprint: Footprint, wanted: Wanted, limit: Limit, now: int) -> BadInput:
    least = _least_mb(footprint, replace(wanted, k=1), now)
    return BadInput(
        f"one adapter does not fit into {limit}: {mb(now)} MB are taken already, and training on"
        f" {wanted.longest} tokens needs about {least} MB in all; give that much, a lower"
        " --lora_rank or a smaller base"
    )


def _least_mb(footprint: Footprint, wanted: Wanted, now: int) -> int:
    """The smallest limit, in MB, that this training would fit into."""
    training = footprint.training(
        wanted.k, wanted.longest, wanted.longest, checkpointing=footprint.checkpoints
    )
    read = min(READ, wanted.answer)
    answering = footprint.answering(wanted.k, kept=wanted.answer, read=read)
    features = wanted.features if footprint.features and wanted.features_are_asked else 0
    return mb(now + int((max(training, answering) + features) / FILL)) + 1


def mb(size: int) -> int:
    return size >> 20
