"""Measures how many adapters train best together on this machine, with a few steps.

Training several adapters together pays where a step of one does not fill the machine. The smallest
K whose rate is within `SLACK` of the best is chosen. A clock may choose it, because adapters come
out the same whatever K is, beyond rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from models.multilora.bank import AdapterBank
from models.multilora.packed import Weighted

KS = (1, 2, 4, 8, 16)
SLACK = 0.05  # share of the best rate
SECONDS = 3.0  # for the whole probe
CHEAP = 0.05  # seconds; a shorter step is measured twice


@dataclass(frozen=True)
class Probe:
    k: int
    threads: int
    rates: dict[int, float]  # tokens a second at each K, with the threads that were set before
    one_thread: float | None  # tokens a second at the chosen K on one thread; None: not measured

    def __str__(self) -> str:
        rates = ", ".join(f"K {k} {rate:,.0f}" for k, rate in self.rates.items())
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"K {self.k} and {threads}, by a probe in tokens a second: {rates}"


def probe(
    make_bank: Callable[[int], AdapterBank],
    batches: Sequence[Sequence[Weighted]],
    most: int,
    *,
    choose_threads: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> Probe:
    """`batches` holds a step's items for each of some adapters. No K above `most` is tried."""
    begun, rates = clock(), dict[int, float]()
    batches = _usual_first(batches)
    rate = _warm_up(make_bank(1), batches, clock)
    if _tokens(batches[:1]) / rate > SECONDS:  # so long a step fills the machine alone
        return Probe(1, torch.get_num_threads(), {1: rate}, None)
    for k in (k for k in KS if k <= max(1, most)):
        slots = _dealt(batches, k)
        seconds = _step_seconds(make_bank(k), slots, clock)
        rates[k] = _tokens(slots) / seconds
        # the next K is twice as large and takes about twice as long to build and to measure
        if clock() - begun + 3 * seconds > SECONDS:
            break
    best = max(rates.values())
    chosen = min(k for k, rate in rates.items() if rate >= (1 - SLACK) * best)
    threads, one = torch.get_num_threads(), None
    expected = threads * _tokens(_dealt(batches, chosen)) / rates[chosen]
    if choose_threads and threads > 1 and clock() - begun + expected < SECONDS:
        one = _rate_of_one_thread(make_bank(chosen), _dealt(batches, chosen), clock)
        threads = 1 if one > rates[chosen] * (1 + SLACK) else threads
    return Probe(chosen, threads, rates, one)


def _usual_first(batches: Sequence[Sequence[Weighted]]) -> list[Sequence[Weighted]]:
    """The batches nearest to the median number of tokens first, so that a few stand for all."""
    ordered = sorted(batches, key=lambda own: _tokens([own]))
    middle = _tokens([ordered[len(ordered) // 2]])
    return sorted(ordered, key=lambda own: abs(_tokens([own]) - middle))


def _dealt(batches: Sequence[Sequence[Weighted]], k: int) -> list[Sequence[Weighted]]:
    return [batches[slot % len(batches)] for slot in range(k)]


def _tokens(slots: Sequence[Sequence[Weighted]]) -> int:
    return sum(len(item) for own in slots for item, _ in own)


def _warm_up(
    bank: AdapterBank, batches: Sequence[Sequence[Weighted]], clock: Callable[[], float]
) -> float:
    """Runs once what only the first steps set up; returns a rough rate in tokens a second."""
    shortest = min((one for own in batches for one in own), key=lambda one: len(one[0]))
    with bank:
        _step(bank, [[shortest]], clock)
        return len(shortest[0]) / _step(bank, [[shortest]], clock)


def _step_seconds(
    bank: AdapterBank, slots: Sequence[Sequence[Weighted]], clock: Callable[[], float]
) -> float:
    """The seconds of a step; the better of two where they are short."""
    with bank:
        first = _step(bank, slots, clock)
        return min(first, _step(bank, slots, clock)) if first < CHEAP else first


def _step(
    bank: AdapterBank, slots: Sequence[Sequence[Weighted]], clock: Callable[[], float]
) -> float:
    begun = clock()
    bank.backward(slots)
    bank.step([True] * len(slots), [1.0] * len(slots))
    return clock() - begun


def _rate_of_one_thread(
    bank: AdapterBank, slots: Sequence[Sequence[Weighted]], clock: Callable[[], float]
) -> float:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        return _tokens(slots) / _step_seconds(bank, slots, clock)
    finally:
        torch.set_num_threads(threads)
