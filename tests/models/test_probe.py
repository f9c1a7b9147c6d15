"""The probe takes the smallest K that is nearly the fastest, within its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import random_item, tiny_llama

from models.multilora.bank import AdapterBank, SlotSpec
from models.multilora.probe import KS, SECONDS, SLACK, Probe, probe

LENGTHS = [10, 20, 20, 30, 90]
BATCHES = [[(random_item(length, i).encoded, 1.0)] for i, length in enumerate(LENGTHS)]


class Machine:
    """Steps take as long as it is told, by its own clock."""

    def __init__(self, seconds_of: Callable[[int, int], float]) -> None:
        self.time, self.seconds_of = 0.0, seconds_of
        self.seen: list[list[int]] = []

    def clock(self) -> float:
        return self.time

    def bank(self, k: int) -> Any:
        return _Bank(self)

    def probe(self, most: int = 16, **how: Any) -> Probe:
        return probe(self.bank, BATCHES, most, clock=self.clock, **how)


class _Bank:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def __enter__(self) -> _Bank:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def backward(self, slots: Any) -> None:
        lengths = [len(item) for own in slots for item, _ in own]
        self.machine.seen.append(lengths)
        self.machine.time += self.machine.seconds_of(len(slots), sum(lengths))

    def step(self, moving: Any, shares: Any) -> None:
        pass


@given(st.floats(1e-5, 0.5), st.floats(1e-7, 1e-3), st.integers(1, 20))
def test_the_smallest_k_that_is_nearly_the_fastest(launch: float, token: float, most: int) -> None:
    found = Machine(lambda slots, tokens: launch + token * tokens).probe(most)
    best = max(found.rates.values())
    assert found.k in found.rates and found.k <= most
    assert found.rates[found.k] >= (1 - SLACK) * best
    assert all(rate < (1 - SLACK) * best for k, rate in found.rates.items() if k < found.k)


@given(st.floats(0, 2), st.floats(1e-7, 1))
def test_the_probe_keeps_to_its_time(launch: float, token: float) -> None:
    """But for the first step, whose length nobody knows before."""
    machine = Machine(lambda slots, tokens: launch + token * tokens)
    machine.probe()
    first = launch + token * min(LENGTHS)
    assert machine.time <= SECONDS + 3 * first + launch


def test_where_nothing_is_gained_one_adapter_at_a_time_and_where_much_is_many() -> None:
    assert Machine(lambda slots, tokens: 1e-4 * tokens).probe().k == 1
    assert Machine(lambda slots, tokens: 0.01).probe().k == KS[-1]
    assert Machine(lambda slots, tokens: 0.01).probe(most=5).k == 4


def test_it_measures_with_tasks_of_the_usual_size() -> None:
    machine = Machine(lambda slots, tokens: 1e-4 * tokens)
    machine.probe(most=4)
    warm, again, *rest = machine.seen
    assert warm == again == [10]
    assert {length for lengths in rest for length in lengths} <= {10, 20, 30}


@pytest.mark.parametrize(("alone", "expected"), [(0.5, 1), (1.0, 2), (2.0, 2)])
def test_one_thread_is_taken_where_it_is_faster(alone: float, expected: int) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        machine = Machine(
            lambda slots, tokens: 1e-3 * tokens * (alone if torch.get_num_threads() == 1 else 1)
        )
        found = machine.probe(choose_threads=True)
        assert found.threads == expected and found.one_thread is not None
        assert torch.get_num_threads() == 2
        assert machine.probe().one_thread is None
    finally:
        torch.set_num_threads(threads)


def test_a_real_bank_is_measured_and_the_base_stays_as_it_was() -> None:
    model = tiny_llama(torch.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = probe(lambda k: AdapterBank(model, [SlotSpec(rank=2)] * k), BATCHES, 4)
    assert set(found.rates) <= {1, 2, 4} and all(rate > 0 for rate in found.rates.values())
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert str(found).startswith(f"K {found.k} and ")
