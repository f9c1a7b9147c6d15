"""Slots: entered, left, saved, resumed; a step in parts, recomputed, dropped out: the same step."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tiny_models import random_item, tiny_llama, tiny_mistral, tiny_qwen2
from torch.utils._python_dispatch import TorchDispatchMode

from hone.errors import BadInput
from models.multilora import head
from models.multilora.bank import AdapterBank, SlotSpec
from models.multilora.optimizer import RowAdamW, Work
from models.multilora.packed import Weighted, parts_of

DROPPED = [
    SlotSpec(4, 8, 1e-2, seed=1, dropout=0.3),
    SlotSpec(2, 16, 3e-3, seed=2),
    SlotSpec(8, 4, 2e-2, weight_decay=0.1, clip_norm=0.5, seed=3, dropout=0.1),
]


def steps_of(count: int, slots: int = 3) -> list[list[list[Weighted]]]:
    """Items of unequal number, length and weight for every step and slot."""
    return [
        [
            [
                (random_item(7 + 3 * k + 2 * i + n, 100 * n + 10 * k + i).encoded, 1.0 + i)
                for i in range(1 + (k + n) % 3)
            ]
            for k in range(slots)
        ]
        for n in range(count)
    ]


def train(bank: AdapterBank, steps: Sequence[Sequence[Sequence[Weighted]]]) -> list[list[float]]:
    losses = []
    with bank:
        for slots in steps:
            losses.append(bank.backward(slots).losses_K.tolist())
            bank.step([bool(own) for own in slots], [1.0] * len(slots))
    return losses


def row(bank: AdapterBank, slot: int) -> torch.Tensor:
    """A slot's values without the padding of a wider bank."""
    rank = bank.ranks[slot]
    factors = [layer.factors for layer in bank.layers.values()]
    parts = [p for f in factors for p in (f.a_KRI[slot, :rank], f.b_KOR[slot, :, :rank])]
    return torch.cat([part.reshape(-1) for part in parts])


@pytest.mark.parametrize("packed", [True, False])
def test_dropout_masks_are_those_of_solo_runs(
    packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.multilora.bank.runs_packed", lambda model: packed)
    model, steps = tiny_llama(), steps_of(5)
    grouped = AdapterBank(model, DROPPED)
    losses = train(grouped, steps)
    for slot, spec in enumerate(DROPPED):
        solo = AdapterBank(model, [spec])
        alone = train(solo, [[slots[slot]] for slots in steps])
        assert (row(grouped, slot) - row(solo, 0)).abs().max() < 1e-9
        assert max(abs(a[slot] - b[0]) for a, b in zip(losses, alone, strict=True)) < 1e-9
    undropped = AdapterBank(model, [dataclasses.replace(spec, dropout=0.0) for spec in DROPPED])
    train(undropped, steps)
    assert (row(grouped, 0) - row(undropped, 0)).abs().max() > 1e-4
    assert (row(grouped, 1) - row(undropped, 1)).abs().max() < 1e-9


def test_dropout_drops_the_asked_share_and_keeps_the_mean() -> None:
    from models.multilora.dropout import Dropout, Stretch

    like = torch.zeros(500, 64)
    mask = Dropout([Stretch(100, 300, 0.25, seed=5)], 500).mask(0, like)
    assert torch.equal(mask[:100], torch.ones(100, 64)) and (mask[400:] == 1).all()
    assert abs((mask[100:400] == 0).float().mean() - 0.25) < 0.02
    assert abs(mask[100:400].mean() - 1) < 0.03
    other = Dropout([Stretch(100, 300, 0.25, seed=5)], 500).mask(1, like)
    assert not torch.equal(mask, other)


@pytest.mark.parametrize("make", [tiny_llama, tiny_qwen2, tiny_mistral])
@pytest.mark.parametrize("budget", [1, 40])
def test_a_step_in_parts_is_the_same_step(make: Any, budget: int) -> None:
    model, (slots,) = make(), steps_of(1)
    found = []
    for token_budget in (0, budget):
        with AdapterBank(model, DROPPED, token_budget=token_budget) as bank:
            bank.values_KP += 0.01
            found.append((bank.backward(slots).losses_K, bank.grads_KP.clone()))
    (whole, grads), (parts, its_grads) = found
    assert (whole - parts).abs().max() < 1e-9
    assert (grads - its_grads).norm() < 1e-9 * grads.norm()


def test_parts_keep_the_budget_and_lose_no_item() -> None:
    (slots,) = steps_of(1)
    parts = list(parts_of(slots, 30))
    assert len(parts) > 1
    for part in parts:
        assert len(part) == 1 or sum(len(placed.encoded) for placed in part) <= 30
    placed = [(p.slot, p.index) for part in parts for p in part]
    assert placed == [(k, i) for k, own in enumerate(slots) for i in range(len(own))]


def test_recomputing_layers_gives_the_same_gradients() -> None:
    model, (slots,) = tiny_llama(torch.float32), steps_of(1)
    found = []
    for checkpointing in (False, True):
        with AdapterBank(model, DROPPED, checkpointing=checkpointing) as bank:
            bank.values_KP += 0.01
            bank.backward(slots)
            found.append(bank.grads_KP.clone())
    assert torch.equal(*found)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("targets", [(), ("q_proj", "lm_head")])
def test_logits_in_chunks_are_the_same_losses(
    packed: bool, targets: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.multilora.bank.runs_packed", lambda model: packed)
    model, (slots,) = tiny_llama(), steps_of(1)
    most, found = [], []
    for bound in (head.CHUNK_BYTES, 4 * 16 * 5):
        monkeypatch.setattr(head, "CHUNK_BYTES", bound)
        with AdapterBank(model, DROPPED, targets) as bank:
            bank.values_KP += 0.01
            seen = _heights(monkeypatch)
            found.append((bank.backward(slots).losses_K, bank.grads_KP.clone()))
            most.append(max(seen))
            assert sum(seen) == sum(item.counted for own in slots for item, _ in own)  # no more
    (whole, grads), (chunks, its_grads) = found
    assert most[1] == 5 < most[0]
    assert (whole - chunks).abs().max() < 1e-9
    assert (grads - its_grads).norm() < 1e-9 * grads.norm()


def _heights(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows of logits each chunk had."""
    seen: list[int] = []
    add = head.Tally.add

    def counting(self: head.Tally, logits: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append(len(logits))
        return add(self, logits, *rest)

    monkeypatch.setattr(head.Tally, "add", counting)
    return seen


def test_a_slot_that_is_entered_anew_trains_as_if_it_were_the_first() -> None:
    model, steps = tiny_llama(), steps_of(8)
    bank = AdapterBank(model, [*DROPPED[:2], SlotSpec(8, seed=9)])
    others = [[own if k != 2 else [] for k, own in enumerate(slots)] for slots in steps[:3]]
    train(bank, others)
    bank.enter(2, DROPPED[2])
    train(bank, steps[3:])
    solo = AdapterBank(model, [DROPPED[2]])
    train(solo, [[slots[2]] for slots in steps[3:]])
    assert (row(bank, 2) - row(solo, 0)).abs().max() < 1e-9


def test_a_saved_slot_goes_on_elsewhere_as_if_it_had_stayed() -> None:
    model, steps = tiny_llama(torch.float32), steps_of(6)
    stayed = AdapterBank(model, DROPPED)
    train(stayed, steps)
    bank = AdapterBank(model, DROPPED)
    train(bank, steps[:3])
    states = [bank.snapshot(slot) for slot in range(3)]
    train(bank, steps[3:4])  # a snapshot is a copy
    again = AdapterBank(model, [SlotSpec(8, seed=77) for _ in range(3)])
    for slot, state in enumerate(states):
        again.restore(slot, state)
    train(again, steps[3:])
    assert again.specs == stayed.specs
    assert torch.equal(again.values_KP, stayed.values_KP)
    narrow = AdapterBank(model, [SlotSpec(4)])
    with pytest.raises(BadInput, match="the same model, targets and largest rank"):
        narrow.restore(0, states[0])


def test_a_rank_above_the_banks_width_is_refused() -> None:
    bank = AdapterBank(tiny_llama(), [SlotSpec(4)])
    with pytest.raises(BadInput, match="rank 8 is above the bank's 4"):
        bank.enter(0, SlotSpec(8))


def test_an_idle_bank_has_nothing_to_learn() -> None:
    with AdapterBank(tiny_llama(), DROPPED) as bank:
        losses = bank.backward([[], [], []])
    assert not losses.exact_K.any() and not losses.losses_K.any() and not bank.grads_KP.any()


def test_exact_slots_are_those_whose_tokens_are_all_the_likeliest() -> None:
    model = tiny_llama()
    easy, hard = (random_item(10, seed).encoded for seed in (1, 2))
    spec = SlotSpec(16, 64, learning_rate=3e-2)
    with AdapterBank(model, [spec, spec]) as bank:
        for _ in range(100):
            last = bank.backward([[(easy, 1.0)], [(hard, 1.0)]])
            bank.step([True, False], [1.0, 1.0])
    assert last.exact_K.tolist() == [True, False]


def test_the_optimizer_launches_as_many_kernels_for_16_slots_as_for_1() -> None:
    """Counted at the dispatcher; fp64, so that plain torch does it on every machine."""
    counts = []
    for slots in (1, 16):
        values = torch.randn(slots, 50, dtype=torch.float64)
        column = torch.full((slots,), 0.1, dtype=torch.float64)
        optimizer = RowAdamW(
            values,
            torch.randn_like(values),
            learning_rate_K=column.clone(),
            weight_decay_K=column.clone(),
            clip_norm_K=column.clone(),
            work=Work(torch.empty_like(values), 20, column.clone()),
        )
        with _Counting() as counting:
            optimizer.step(torch.ones(slots, dtype=torch.bool), torch.ones_like(column))
        counts.append(counting.seen)
    assert counts[0] == counts[1] and sum(counts[0].values()) > 5


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen[str(func)] += 1
        return func(*args, **(kwargs or {}))


def test_exactness_is_asked_of_an_items_last_answer_alone() -> None:
    from models.multilora.packed import pack

    item = random_item(12, 1).encoded
    labels = item.ids.copy()
    labels[[0, 1, 2, 5, 6, 9]] = -100  # answers at 3-4, 7-8 and 10-11
    asked = dataclasses.replace(item, labels=labels)
    (part,) = parts_of([[(asked, 1.0)], [(item, 1.0)]], 0)
    answers = pack(part, 2, "cpu").answers
    assert answers.places[answers.owners == 0].tolist() == [2, 3, 6, 7, 9, 10]
    assert answers.last[answers.owners == 0].tolist() == [False] * 4 + [True] * 2
    assert answers.last[answers.owners == 1].all()
