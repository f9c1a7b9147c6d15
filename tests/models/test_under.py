"""What slots stand on: exact beside merging it, frozen, and part of what is exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_placement import SLOTS, SPECS, logits_of, stirred, tiny_neox, trained, written
from tiny_models import random_item, tiny_llama, tiny_tied
from transformers import PreTrainedModel

from hone.errors import BadInput
from models.batch import pad
from models.frozen_linear import dense_weight
from models.multilora.bank import AdapterBank, SlotSpec, bank_of
from models.multilora.peft_files import AdapterFiles
from models.multilora.stacking import stacked
from models.quantize import pack_linears_, quantize_linears_

torch.set_num_threads(1)
EVERYTHING = ("q_proj", "v_proj", "o_proj", "down_proj", "embed_tokens", "lm_head")
Make = Callable[..., PreTrainedModel]


def some_adapter(model: PreTrainedModel, **how: Any) -> AdapterFiles:
    """Of rank 3 and scale 2, nowhere zero."""
    return stirred(AdapterBank(model, [SlotSpec(3, 6.0)], **how)).export(0)


def merged(model: PreTrainedModel, adapter: AdapterFiles) -> PreTrainedModel:
    """The reference: the adapter added to the weights, which is exact in fp64 alone."""
    for name, (a, b) in adapter.tensors.items():
        layer = model.get_submodule(name)
        product = adapter.scale * (b.double() @ a.double())
        layer.weight.data += product.t() if name in adapter.embeddings else product
    return model


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    "how",
    [{}, {"targets": EVERYTHING}, {"placement": "top:1"}, {"placement": "head"}],
    ids=["all", "named", "top:1", "head"],
)
def test_standing_on_an_adapter_is_training_beside_weights_that_hold_it(
    how: dict[str, Any], packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.multilora.bank.runs_packed", lambda model: packed)
    shared = some_adapter(tiny_llama(), **how)
    found = []
    for model, under in ((tiny_llama(), shared), (merged(tiny_llama(), shared), None)):
        with stirred(AdapterBank(model, SPECS, under=under, **how), seed=3) as bank:
            found.append((bank.backward(SLOTS).losses_K, bank.grads_KP.clone()))
    (losses, grads), (merged_losses, merged_grads) = found
    # transformers' own norms are in fp32, whatever the model is in
    tolerance = 1e-10 if packed else 1e-5
    assert (losses - merged_losses).abs().max() < tolerance
    assert (grads - merged_grads).norm() < tolerance * grads.norm()
    with AdapterBank(tiny_llama(), SPECS, **how) as alone:
        assert (alone.backward(SLOTS).losses_K - losses).abs().max() > 1e-3


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
@pytest.mark.parametrize("make", [tiny_llama, tiny_tied, tiny_neox])
@pytest.mark.parametrize("placement", ["all", "head"])
def test_what_is_exported_holds_both_and_answers_so_in_stock_peft(
    make: Make, placement: str, tmp_path: Path
) -> None:
    from peft import PeftModel

    shared = some_adapter(make(torch.float32), placement=placement)
    bank = trained(make(torch.float32), SPECS, SLOTS, placement=placement, under=shared)
    adapter = bank.export(1)
    assert adapter.rank == 3 + bank.ranks[1] and adapter.scale == 1
    for name, (a, b) in shared.tensors.items():
        assert torch.equal(adapter.tensors[name][0][:3], a), "what is stood on stays as it was"
        assert torch.equal(adapter.tensors[name][1][:, :3], b * shared.scale)
    model = make(torch.float32)
    with bank_of(model, [adapter]) as loaded:
        assert loaded is not None
        with loaded.rows():
            ours = logits_of(model)
    folder = str(written(adapter, tmp_path / "adapter"))
    theirs = logits_of(PeftModel.from_pretrained(make(torch.float32), folder).eval())
    assert (ours - theirs).norm() < 1e-5 * theirs.norm()
    assert (ours - logits_of(make(torch.float32))).norm() > 1e-2 * theirs.norm()


@pytest.mark.parametrize("quantize", [quantize_linears_, pack_linears_])
def test_four_bits_stay_what_they_are_beneath_it(quantize: Callable[[Any], object]) -> None:
    """A merge would have to choose other codes: here the values beneath are those of the base."""
    quantize(model := tiny_llama(torch.float32))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    shared = some_adapter(model)
    with AdapterBank(model, SPECS, under=shared) as bank:
        losses = bank.backward(SLOTS).losses_K
        bank.step([True, True], [1.0, 1.0])
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    exact = tiny_llama(torch.float64)
    for name in shared.tensors:
        exact.get_submodule(name).weight.data = dense_weight(model.get_submodule(name)).double()
    with AdapterBank(merged(exact, shared), SPECS) as wide:
        assert torch.allclose(losses.double(), wide.backward(SLOTS).losses_K, atol=1e-5)


def test_grouped_is_solo_on_top_of_something_too() -> None:
    shared = some_adapter(tiny_llama())
    together = trained(tiny_llama(), SPECS, SLOTS, under=shared)
    for slot, spec in enumerate(SPECS):
        alone = trained(tiny_llama(), [spec], SLOTS[slot : slot + 1], under=shared).export(0)
        for name, pair in together.export(slot).tensors.items():
            for one, other in zip(pair, alone.tensors[name], strict=True):
                assert (one - other).abs().max() < 1e-6  # exported in fp32


def test_what_was_made_for_other_layers_is_refused() -> None:
    model = tiny_llama()
    shared = some_adapter(model, targets=["q_proj"])
    with pytest.raises(BadInput, match="adapter to train on top of is for other layers") as refused:
        AdapterBank(model, SPECS, under=shared)
    assert "\n" not in str(refused.value)
    with pytest.raises(BadInput, match="cannot be put on top of one for other layers"):
        stacked([shared, some_adapter(model)])


def test_three_stand_on_each_other_as_two_and_one() -> None:
    model = tiny_llama(torch.float32)
    one = some_adapter(model)
    batch = pad([random_item(17, 5).encoded])
    logits = []
    for adapter in (stacked([one, one, one]), stacked([stacked([one, one]), one])):
        assert adapter.rank == 9
        with bank_of(model, [adapter]) as bank, torch.inference_mode():
            assert bank is not None
            with bank.rows():
                logits.append(model(batch.ids, attention_mask=batch.ones).logits)
    assert torch.allclose(*logits, atol=1e-5)
