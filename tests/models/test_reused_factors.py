"""Trained factors used again: several as one adapter, or one as where training begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_placement import stirred
from test_under import merged, some_adapter
from tiny_models import random_item, tiny_llama
from transformers import PreTrainedModel

from hone.errors import BadInput
from models.batch import pad
from models.frozen_linear import dense_weight
from models.multilora.bank import AdapterBank, SlotSpec, bank_of
from models.multilora.peft_files import AdapterFiles
from models.multilora.stacking import stacked
from models.quantize import pack_linears_, quantize_linears_

torch.set_num_threads(1)
WEIGHTS = [0.7, 0.3]


def another_adapter(model: PreTrainedModel) -> AdapterFiles:
    spec = SlotSpec(5, 3.0, use_rslora=True)
    return stirred(AdapterBank(model, [spec]), seed=2).export(0)


def products(adapter: AdapterFiles) -> dict[str, torch.Tensor]:
    return {
        name: adapter.scale * (b.double() @ a.double()) for name, (a, b) in adapter.tensors.items()
    }


def test_a_merge_is_the_weighted_sum_of_unequal_ranks_and_scales() -> None:
    model = tiny_llama(torch.float32)
    parts = [some_adapter(model), another_adapter(model)]
    whole = stacked(parts, WEIGHTS)
    assert whole.rank == 3 + 5
    summed = products(whole)
    for name, product in products(parts[0]).items():
        wanted = WEIGHTS[0] * product + WEIGHTS[1] * products(parts[1])[name]
        assert torch.allclose(summed[name], wanted, atol=1e-6)


@pytest.mark.parametrize("quantize", [quantize_linears_, pack_linears_])
def test_a_merge_answers_on_four_bits_as_weights_that_hold_it(
    quantize: Callable[[Any], object],
) -> None:
    quantize(model := tiny_llama(torch.float32))
    parts = [some_adapter(model), another_adapter(model)]
    exact = tiny_llama(torch.float64)
    for name in parts[0].tensors:
        exact.get_submodule(name).weight.data = dense_weight(model.get_submodule(name)).double()
    for part, weight in zip(parts, WEIGHTS, strict=True):
        merged(exact, dataclasses.replace(part, alpha=part.alpha * weight))
    batch = pad([random_item(17, 5).encoded])
    with bank_of(model, [stacked(parts, WEIGHTS)]) as bank, torch.inference_mode():
        assert bank is not None
        with bank.rows():
            ours = model(batch.ids, attention_mask=batch.ones).logits
        wanted = exact(batch.ids, attention_mask=batch.ones).logits
    assert torch.allclose(ours.double(), wanted, atol=1e-4)


@pytest.mark.parametrize("on_top", [False, True])
def test_training_begins_with_what_the_adapter_knows(on_top: bool) -> None:
    model = tiny_llama(torch.float32)
    under = some_adapter(model) if on_top else None
    spec = SlotSpec(5, 3.0)
    kept = stirred(AdapterBank(model, [spec], under=under), seed=2).export(0)
    bank = AdapterBank(model, [SlotSpec(2), SlotSpec(6)], under=under)
    bank.enter(1, spec)
    bank.begin_from(1, kept)
    begun = bank.export(1)
    assert begun.rank == kept.rank and begun.tensors.keys() == kept.tensors.keys()
    for name, product in products(begun).items():
        assert torch.allclose(product, products(kept)[name], atol=1e-6)


def test_a_smaller_adapter_leaves_the_other_rows_to_be_learned() -> None:
    model = tiny_llama(torch.float32)
    small = some_adapter(model)
    bank = AdapterBank(model, [SlotSpec(5, 5.0)])
    bank.begin_from(0, small)
    for name, (a, b) in bank.export(0).tensors.items():
        assert torch.equal(a[:3], small.tensors[name][0])
        assert torch.equal(b[:, :3], 2 * small.tensors[name][1])  # its scale is 2, the slot's 1
        assert a[3:].any() and not b[:, 3:].any()
    with pytest.raises(BadInput, match="rank 2 cannot begin from an adapter of rank 3; use its"):
        AdapterBank(model, [SlotSpec(2)]).begin_from(0, small)
