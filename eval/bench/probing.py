"""Which way of computing stock PEFT is fastest in, found by trying them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from eval.bench.peft_seat import Feed, Mode, PeftSeat
from hone.errors import BadInput
from models.matrix_speed import seconds_of
from models.model_folder import first_line

OpenSeat = Callable[[Mode], PeftSeat]  # over a base of its own
_TRIES, _ENOUGH = 3, 1.0  # at least so many steps of a way, and so many seconds


@dataclass(frozen=True)
class Tried:
    mode: Mode
    step_s: float  # a step once it runs
    first_s: float  # the first step: compiling


@dataclass(frozen=True)
class Probe:
    tried: list[Tried]
    skipped: dict[str, str]  # mode -> why

    def fastest(self, steps: float = float("inf")) -> Tried:
        """For so many steps with compiling counted; by default for so many that it is not felt."""
        if steps == float("inf"):
            return min(self.tried, key=lambda one: one.step_s)
        return min(self.tried, key=lambda one: one.first_s + steps * one.step_s)


def probe(modes: Sequence[Mode], feed: Feed, open_seat: OpenSeat, budget: float) -> Probe:
    """The plain modes, then those that compile, in the order of the plain ones that they stand on,
    as long as `budget` seconds last."""
    begun = time.monotonic()
    tried = [_try(mode, feed, open_seat) for mode in modes if not mode.compiled]
    plain = {(one.mode.weights, one.mode.autocast): one.step_s for one in tried}
    compiled = [mode for mode in modes if mode.compiled]
    skipped: dict[str, str] = {}
    for mode in sorted(compiled, key=lambda mode: plain.get((mode.weights, mode.autocast), 0.0)):
        if tried and time.monotonic() - begun > budget:
            skipped[mode.name] = f"not tried within {budget:g} s"
            continue
        try:
            tried.append(_try(mode, feed, open_seat))
        except Exception as error:  # a compiler that is not there, or that fails, raises anything
            skipped[mode.name] = first_line(error)
    if not tried:
        name, why = next(iter(skipped.items()))
        raise BadInput(f"--peft_mode {name} cannot run here ({why}); choose another, or auto")
    return Probe(tried, skipped)


def _try(mode: Mode, feed: Feed, open_seat: OpenSeat) -> Tried:
    forget_compiled()
    seat = open_seat(mode)
    first = seconds_of(lambda: seat.step(feed), seat.device)
    seat.step(feed)
    again: list[float] = []
    while len(again) < _TRIES or sum(again) < _ENOUGH:
        again.append(seconds_of(lambda: seat.step(feed), seat.device))
    return Tried(mode, min(again), first)


def forget_compiled(*, on_disk: bool = False) -> None:
    """So that the next is compiled for its own shapes, and not for all that came before; with
    `on_disk` also as on a machine where none of it was ever compiled."""
    import torch._inductor.config as compiler

    compiler.force_disable_caches = on_disk
    torch._dynamo.reset()
    gc.collect()
