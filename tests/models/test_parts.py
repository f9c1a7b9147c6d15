"""A step in parts: what padding costs, and that it changes nothing."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import SIZES, random_item
from transformers import MistralConfig, MistralForCausalLM

from models.multilora.bank import AdapterBank, SlotSpec
from models.multilora.packed import PADDING, Weighted, parts_of, parts_of_like_length

STEPS = st.lists(st.lists(st.integers(2, 60), max_size=4), min_size=1, max_size=5)


def of_lengths(lengths: list[list[int]]) -> list[list[Weighted]]:
    return [
        [(random_item(length, i).encoded, 1.0) for i, length in enumerate(own)] for own in lengths
    ]


@given(STEPS, st.sampled_from([0, 50, 120]))
def test_every_item_is_in_one_part_and_the_parts_keep_to_the_budget(
    lengths: list[list[int]], budget: int
) -> None:
    slots = of_lengths(lengths)
    expected = [(slot, i) for slot, own in enumerate(slots) for i in range(len(own))]
    for ways in (parts_of, parts_of_like_length):
        parts = list(ways(slots, budget))
        assert sorted((one.slot, one.index) for part in parts for one in part) == expected
        for part in parts:
            sizes = [len(one.encoded) for one in part]
            assert [one.slot for one in part] == sorted(one.slot for one in part)
            taken = sum(sizes) if ways is parts_of else max(sizes) * len(sizes)
            assert len(part) == 1 or budget == 0 or taken <= budget


@given(STEPS, st.sampled_from([0, 200]))
def test_rows_of_like_length_waste_less_than_a_tenth(lengths: list[list[int]], budget: int) -> None:
    for part in parts_of_like_length(of_lengths(lengths), budget):
        sizes = [len(one.encoded) for one in part]
        assert sum(sizes) >= (1 - PADDING) * max(sizes) * len(sizes)


def test_a_padded_step_in_parts_is_the_step_that_each_slot_takes_alone() -> None:
    config = MistralConfig(**SIZES, sliding_window=4096)
    torch.manual_seed(0)
    model = MistralForCausalLM(config).to(torch.float64).eval().requires_grad_(False)
    slots = of_lengths([[40, 12], [11], [], [38, 39, 13]])
    specs = [SlotSpec(rank=3, dropout=0.2, seed=seed) for seed in range(len(slots))]

    def gradients(some: list[int], budget: int) -> torch.Tensor:
        bank = AdapterBank(model, [specs[slot] for slot in some], token_budget=budget)
        with bank:
            bank.backward([slots[slot] for slot in some])
        return bank.grads_KP.clone()

    together = {budget: gradients([0, 1, 2, 3], budget) for budget in (0, 45, 90)}
    for grouped in together.values():
        for slot in range(len(slots)):
            torch.testing.assert_close(
                grouped[slot], gradients([slot], 0)[0], rtol=1e-9, atol=1e-12
            )
