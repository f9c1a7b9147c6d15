"""Finds the fastest mode for stock PEFT by trying the modes."""

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

OpenSeat = Callable[[Mode], PeftSeat]  # opens a seat with a base of its own
_TRIES, _ENOUGH = 3, 1.0  # a mode is measured for at least so many steps and seconds


@dataclass(frozen=True)
class Tried:
    mode: Mode
    step_s: float  # seconds of a step after the first ones
    first_s: float  # seconds of the first step, compiling included


@dataclass(frozen=True)
class Probe:
    tried: list[Tried]
    skipped: dict[str, str]  # mode -> why it was not measured

    def fastest(self, steps: float = float("inf")) -> Tried:
        """The fastest mode for `steps` steps, compiling included; by default for so many that
        compiling does not matter."""
        if steps == float("inf"):
            return min(self.tried, key=lambda one: one.step_s)
        return min(self.tried, key=lambda one: one.first_s + steps * one.step_s)


def probe(modes: Sequence[Mode], feed: Feed, open_seat: OpenSeat, budget: float) -> Probe:
    """Measures the plain modes, then the compiled ones, fastest plain counterpart first, until
    `budget` seconds have passed."""
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
        except Exception as error:  # a missing or failing compiler can raise anything
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
    """Drops all compiled code, so that the next is compiled for its own shapes only. `on_disk`
    disables the caches on disk as well, as on a machine that has compiled nothing yet."""
    import torch._inductor.config as compiler

    compiler.force_disable_caches = on_disk
    torch._dynamo.reset()
    gc.collect()
