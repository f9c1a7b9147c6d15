"""Memory is estimated before anything runs, and what is laid out by the estimate fits."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import SIZES, random_item
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from hone.errors import BadInput
from models.memory.footprint import Footprint, footprint_of
from models.memory.keeper import MemoryKeeper
from models.memory.live import LiveBytes
from models.memory.monitor import MemoryMonitor
from models.memory.plan import FILL, Limit, Plan, Wanted, plan
from models.multilora.bank import AdapterBank, SlotSpec

MB = 1 << 20
CPU = torch.device("cpu")
LARGER = {**SIZES, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 5}
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig(**LARGER), torch.float32),
    "llama in plain torch": (LlamaForCausalLM, LlamaConfig(**LARGER), torch.float64),
    "qwen2 in bf16": (Qwen2ForCausalLM, Qwen2Config(**LARGER), torch.bfloat16),
    "padded": (MistralForCausalLM, MistralConfig(**LARGER, sliding_window=4096), torch.float32),
}


@pytest.fixture(autouse=True)
def no_other_malloc(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tests of this process are to be as fast as ever."""
    for name in ("give_back_at_once", "keep_for_the_next_step"):
        monkeypatch.setattr(f"models.memory.keeper.{name}", lambda: None)


def of_kind(name: str) -> Any:
    made, config, dtype = MODELS[name]
    torch.manual_seed(0)
    return made(config).to(dtype).eval().requires_grad_(False)


def live_peak(model: Any, k: int, length: int, placement: str, **how: Any) -> int:
    """Of tensors, in a step of K adapters that was warmed up, their bank among them."""
    items = [random_item(length, slot) for slot in range(k)]
    AdapterBank(model, [SlotSpec()])  # weights that are multiplied together now stand together
    with LiveBytes() as live:
        bank = AdapterBank(model, [SlotSpec(rank=8)] * k, placement=placement, **how)
        with bank:
            for _ in range(2):
                bank.backward([[(item.encoded, 1.0)] for item in items])
                bank.step([True] * k, [1.0] * k)
    return live.peak


@pytest.mark.parametrize(
    ("kind", "placement", "checkpointing"),
    [
        *((kind, "all", False) for kind in MODELS),
        *((kind, "all", True) for kind in ("llama", "llama in plain torch")),
        *(("llama", placement, False) for placement in ("top:2", "head")),
    ],
)
def test_the_estimate_is_near_what_tensors_take(
    kind: str, placement: str, checkpointing: bool
) -> None:
    model, k, length = of_kind(kind), 2, 200
    footprint = footprint_of(model, 8, placement=placement)
    measured = live_peak(model, k, length, placement, checkpointing=checkpointing)
    estimate = footprint.training(k, k * length, length, checkpointing=checkpointing)
    waiting = k * 8 * footprint.values  # adapters that wait to be written are not in this run
    assert measured / 1.1 <= estimate - waiting <= 1.3 * measured


def test_fewer_tokens_at_once_and_checkpointing_take_what_the_estimate_says() -> None:
    model, k, length = of_kind("llama"), 4, 120
    footprint = footprint_of(model, 8)
    fixed = k * footprint.slot
    for how, tokens in (({"token_budget": 120}, 120), ({"token_budget": 240}, 240)):
        measured = live_peak(model, k, length, "all", **how) - fixed + k * 8 * footprint.values
        estimate = footprint.training(k, tokens, length, checkpointing=False) - fixed
        assert measured / 1.2 <= estimate <= 1.3 * measured


FOOTPRINTS = st.builds(
    Footprint,
    values=st.just(1),
    slot=st.integers(1, 1000),
    stepping=st.integers(0, 100),
    token=st.floats(50, 100),
    again=st.floats(5, 50),
    passing=st.floats(0, 50),
    score=st.floats(0, 1),
    features=st.just(False),
    logits=st.floats(0, 10),
    vocabulary_bytes=st.just(500),
    answerer=st.integers(1, 500),
    reading=st.floats(0, 50),
    cached=st.floats(1, 50),
)
WANTED = st.builds(
    Wanted,
    k=st.integers(1, 40),
    k_is_asked=st.just(False),
    longest=st.integers(1, 100),
    step=st.integers(100, 400),
    answer=st.integers(1, 200),
    token_budget=st.sampled_from([0, 50, 500]),
)


def laid_out(footprint: Footprint, wanted: Wanted, size: int) -> Plan | None:
    try:
        return plan(footprint, wanted, Limit(size, "the test"), now=100)
    except BadInput:
        return None


def needed(footprint: Footprint, wanted: Wanted, found: Plan) -> float:
    tokens = found.token_budget or found.k * wanted.step
    tokens = max(min(tokens, found.k * wanted.step), wanted.longest)
    return max(
        footprint.training(found.k, tokens, wanted.longest, checkpointing=found.checkpointing),
        footprint.answering(found.k, kept=found.bounds.kept, read=found.bounds.read),
    )


@given(FOOTPRINTS, WANTED, st.integers(100, 200_000))
def test_what_is_laid_out_fits(footprint: Footprint, wanted: Wanted, size: int) -> None:
    found = laid_out(footprint, wanted, size)
    if found is not None:
        assert needed(footprint, wanted, found) <= FILL * (size - 100) + 1
        assert found.bounds.kept >= wanted.answer
        if wanted.token_budget:
            # an item is never cut, so the longest one may be more than was asked for
            most = max(wanted.token_budget, wanted.longest)
            assert (found.token_budget or found.k * wanted.step) <= most


@given(FOOTPRINTS, WANTED, st.integers(100, 200_000))
def test_tokens_go_first_then_checkpointing_then_adapters(
    footprint: Footprint, wanted: Wanted, size: int
) -> None:
    found = laid_out(footprint, wanted, size)
    room, longest = FILL * (size - 100), wanted.longest
    if found is None:
        training = footprint.training(1, longest, longest, checkpointing=True)
        answering = footprint.answering(1, kept=wanted.answer, read=wanted.answer)
        assert max(training, answering) > room
        return
    if found.checkpointing:
        assert footprint.training(found.k, longest, longest, checkpointing=False) > room
    if found.k < wanted.k:
        more = found.k + 1
        training = footprint.training(more, longest, longest, checkpointing=True)
        answering = footprint.answering(more, kept=wanted.answer, read=wanted.answer)
        assert max(training, answering) > room


@given(FOOTPRINTS, WANTED, st.integers(100, 100_000), st.integers(0, 100_000))
def test_more_memory_never_means_fewer_adapters(
    footprint: Footprint, wanted: Wanted, size: int, more: int
) -> None:
    little, much = laid_out(footprint, wanted, size), laid_out(footprint, wanted, size + more)
    assert (little.k if little else 0) <= (much.k if much else 0)


EXAMPLE = Footprint(
    values=MB,
    slot=20 * MB,
    stepping=0,
    token=10_000,
    again=2_000,
    passing=5_000,
    score=0,
    features=False,
    logits=0,
    vocabulary_bytes=0,
    answerer=0,
    reading=0,
    cached=1_000,
)
ROOMY = Wanted(k=32, k_is_asked=False, longest=1_000, step=2_000, answer=1_000)


def test_a_k_that_was_asked_for_is_refused_with_the_largest_that_fits() -> None:
    asked = Wanted(**{**vars(ROOMY), "k_is_asked": True})
    limit = Limit(300 * MB, "--memory_limit_mb 300")
    with pytest.raises(BadInput, match=r"K 32 does not fit into --memory_limit_mb 300") as refused:
        plan(EXAMPLE, asked, limit, now=50 * MB)
    largest = int(str(refused.value).rpartition(" ")[2])
    assert plan(EXAMPLE, Wanted(**{**vars(asked), "k": largest}), limit, now=50 * MB).k == largest
    lowered = plan(EXAMPLE, ROOMY, limit, now=50 * MB)
    assert lowered.k == largest and f"K {largest} instead of 32" in lowered.notes[0]


def test_where_one_adapter_does_not_fit_the_need_is_told_and_is_enough() -> None:
    with pytest.raises(BadInput, match=r"needs about \d+ MB in all") as refused:
        plan(EXAMPLE, ROOMY, Limit(60 * MB, "--memory_limit_mb 60"), now=50 * MB)
    enough = int(str(refused.value).partition("needs about ")[2].split()[0])
    assert plan(EXAMPLE, ROOMY, Limit(enough * MB, "more"), now=50 * MB).k >= 1


class ScriptedMonitor(MemoryMonitor):
    """Says what the test says."""

    def __init__(self, now: int) -> None:
        super().__init__(CPU)
        self.said = now

    def now(self) -> int:
        return self.said

    def lap(self) -> int:
        return self.said


def test_what_follows_is_tightened_where_the_peak_came_near(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = of_kind("llama")
    bank = AdapterBank(model, [SlotSpec(rank=2)] * 2)
    keeper = MemoryKeeper(CPU, limit_mb=10_000)
    keeper.monitor = ScriptedMonitor(1_000 * MB)
    wanted = Wanted(k=2, k_is_asked=False, longest=150, step=400, answer=200)
    keeper.lay_out(footprint_of(model, 2), wanted)
    seen = []
    for said in (5_000, 9_500, 9_500, 9_500, 9_500, 2_000):
        keeper.monitor.said = said * MB
        keeper.at_border(bank, longest=100)
        seen.append((bank.token_budget, bank.engine.checkpointing))
    tight = [(400, False), (200, False), (150, False), (150, True), (150, True)]
    assert seen == [(0, False), *tight]
    assert keeper.report()["checkpointing"] and keeper.report()["token_budget"] == 150
    assert len(keeper.report()["notes"]) == 4 == capsys.readouterr().err.count("note: ")


def test_freed_memory_is_kept_where_there_is_room_and_given_back_where_a_layout_gave_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[str] = []
    for name in ("give_back_at_once", "keep_for_the_next_step"):
        monkeypatch.setattr(f"models.memory.keeper.{name}", partial(called.append, name))
    wanted = Wanted(k=2, k_is_asked=False, longest=150, step=400, answer=200)
    footprint = footprint_of(of_kind("llama"), 2)
    roomy, tight = MemoryKeeper(CPU, limit_mb=10_000), MemoryKeeper(CPU, limit_mb=32)
    for keeper in (roomy, tight):
        keeper.monitor = ScriptedMonitor(0)
    roomy.lay_out(footprint, wanted)
    assert called == ["keep_for_the_next_step"]
    tight.lay_out(footprint, Wanted(**{**vars(wanted), "longest": 900, "step": 9_000}))
    assert called == ["keep_for_the_next_step", "give_back_at_once"]


def test_a_longer_item_is_made_room_for_or_refused() -> None:
    model = of_kind("llama")
    bank = AdapterBank(model, [SlotSpec(rank=2)] * 2)
    footprint = footprint_of(model, 2)
    keeper = MemoryKeeper(CPU)
    keeper.monitor, keeper.limit_mb = ScriptedMonitor(0), 32
    keeper.lay_out(footprint, Wanted(k=2, k_is_asked=False, longest=40, step=40, answer=40))
    keeper.at_border(bank, longest=600)
    assert bank.engine.checkpointing or bank.token_budget
    with pytest.raises(BadInput, match="does not fit into --memory_limit_mb 32"):
        keeper.at_border(bank, longest=100_000)


def test_without_a_limit_what_is_free_is_the_limit() -> None:
    keeper = MemoryKeeper(CPU)
    wanted = Wanted(k=10_000_000, k_is_asked=True, longest=100, step=100, answer=100)
    with pytest.raises(BadInput, match=r"K 10000000 does not fit into the free memory \(\d+ MB\)"):
        keeper.lay_out(EXAMPLE, wanted)
    assert keeper.lay_out(EXAMPLE, Wanted(**{**vars(wanted), "k": 2})).k == 2


def test_the_monitor_sees_what_is_held_and_what_was() -> None:
    with MemoryMonitor(CPU, every=0.002) as monitor:
        before = monitor.now()
        held = torch.ones(40 * MB)
        assert monitor.now() - before > 150 * MB
        time.sleep(0.1)  # until it was sampled
        del held
        assert monitor.lap() - before > 150 * MB
        assert monitor.lap() - before < 100 * MB
        assert monitor.peak() - before > 150 * MB


def test_live_bytes_are_those_of_storages_until_they_are_let_go() -> None:
    given = torch.zeros(100)
    with LiveBytes() as live:
        made = given + 1
        view = made[:10]
        given.add_(1)
        assert live.now == 400
        del made
        assert live.now == 400
        del view
    assert live.now == 0 and live.peak == 400
