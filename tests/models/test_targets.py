"""Adapters on every kind of layer: what stock PEFT computes with them, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import random_item, tiny_llama, tiny_mistral, tiny_qwen2, tiny_tied
from transformers import PreTrainedModel

from hone.errors import BadInput
from models.batch import pad
from models.multilora.bank import AdapterBank, SlotSpec, bank_of
from models.multilora.peft_files import read_adapter, write_adapter

Make = Callable[..., PreTrainedModel]
PEFT_WARNING = "ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"
EVERYTHING = ["q_proj", "down_proj", "lm_head", "embed_tokens"]


def stirred(bank: AdapterBank) -> AdapterBank:
    """Factors that are nowhere zero, so that every gradient is there."""
    torch.manual_seed(7)
    with torch.no_grad():
        for name, layer in bank.layers.items():
            for slot, rank in enumerate(bank.ranks):
                a, b = layer.factors.a_KRI[slot, :rank], layer.factors.b_KOR[slot, :, :rank]
                a.copy_(torch.randn_like(a) / 8)
                b.copy_(torch.randn_like(b) / 8)
                assert name
    return bank


def in_peft(bank: AdapterBank, slot: int, make: Make, folder: Path) -> Any:
    """The slot's adapter, loaded by stock PEFT from disk, ready to be trained on."""
    from peft import PeftModel

    adapter = bank.export(slot)
    write_adapter(folder, adapter, "tiny")
    peft: Any = PeftModel.from_pretrained(make(torch.float64), str(folder), is_trainable=True)
    return peft.double().eval()


@pytest.mark.filterwarnings(PEFT_WARNING)
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("make", [tiny_llama, tiny_qwen2, tiny_mistral, tiny_tied])
@pytest.mark.parametrize("use_rslora", [False, True])
def test_losses_and_gradients_are_those_of_stock_peft(
    make: Make, packed: bool, use_rslora: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.multilora.bank.runs_packed", lambda model: packed)
    specs = [SlotSpec(4, 8, seed=1, use_rslora=use_rslora), SlotSpec(2, 6, seed=2)]
    with stirred(AdapterBank(make(torch.float64), specs, EVERYTHING)) as bank:
        bank.values_KP.copy_(bank.values_KP.float())  # what the folder holds
        item, other = random_item(19, 1).encoded, random_item(11, 2).encoded
        ours = bank.backward([[(item, 1.0)], [(other, 1.0)]])
    peft = in_peft(bank, 0, make, tmp_path / "adapter")
    batch = pad([item])
    out = peft(batch.ids, position_ids=batch.positions, attention_mask=batch.ones)
    loss = torch.nn.functional.cross_entropy(out.logits[0, :-1], batch.labels[0, 1:])
    loss.backward()
    # transformers computes norms in fp32 whatever the model is in
    assert abs(loss.item() - ours.losses_K[0].item()) < 1e-6
    theirs = {n: p.grad for n, p in peft.named_parameters() if p.grad is not None}
    assert len(theirs) == 2 * len(bank.layers)
    flat, grads = bank.flat, bank.grads_KP
    for name in bank.layers:
        if flat.shapes[name].is_embedding:
            a, kind = flat.a_KVR(grads, name)[0].t(), "lora_embedding_{}.default"
        else:
            a, kind = flat.a_KRI(grads, [name])[0], "lora_{}.default.weight"
        b = flat.b_KRO(grads, name)[0].t()
        for mine, letter in ((a[:4], "A"), (b[:, :4], "B")):
            key = next(k for k in theirs if f"{name}.{kind.format(letter)}" in k)
            assert (mine - theirs[key]).norm() < 1e-5 * theirs[key].norm(), key


@pytest.mark.filterwarnings(PEFT_WARNING)
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
@pytest.mark.parametrize("make", [tiny_llama, tiny_tied])
def test_an_exported_head_and_embedding_give_the_same_logits(make: Make, tmp_path: Path) -> None:
    from peft import get_peft_model_state_dict

    model = make(torch.float32)
    bank = stirred(AdapterBank(model, [SlotSpec(4), SlotSpec(2)], EVERYTHING))
    peft = in_peft(bank, 1, make, tmp_path / "adapter").float()
    batch = pad([random_item(17, 5).encoded])
    read = read_adapter(tmp_path / "adapter")
    assert read.embeddings == ("model.embed_tokens",)
    with bank_of(model, [read]) as loaded, torch.inference_mode():
        assert loaded is not None
        with loaded.rows():
            ours = model(batch.ids, position_ids=batch.positions, attention_mask=batch.ones).logits
        theirs = peft(batch.ids, position_ids=batch.positions, attention_mask=batch.ones).logits
    assert (ours - theirs).norm() < 1e-5 * theirs.norm()
    state = get_peft_model_state_dict(peft, save_embedding_layers=False)
    from safetensors.torch import load_file

    assert set(load_file(tmp_path / "adapter" / "adapter_model.safetensors")) == set(state)


def test_a_fresh_adapter_changes_nothing_whatever_it_stands_beside() -> None:
    model = tiny_llama()
    item = random_item(15, 4).encoded
    with AdapterBank(model, [SlotSpec(4)], EVERYTHING) as bank:
        fresh = bank.backward([[(item, 1.0)]]).losses_K
        bank.values_KP.zero_()
        bank.enter(0, SlotSpec(4, alpha=0.0001))
        assert torch.equal(fresh, bank.backward([[(item, 1.0)]]).losses_K)


def test_targets_are_chosen_by_name_and_unknown_ones_are_listed() -> None:
    model = tiny_llama()
    bank = AdapterBank(model, [SlotSpec(4)], ["q_proj", "v_proj"])
    assert {name.split(".")[-1] for name in bank.layers} == {"q_proj", "v_proj"}
    with pytest.raises(BadInput, match=r"no linear layer is called query; there are: .*q_proj"):
        AdapterBank(model, [SlotSpec(4)], ["query"])


def test_a_rank_above_a_layers_size_is_clamped_and_rank_0_refused() -> None:
    model = tiny_llama()
    assert AdapterBank(model, [SlotSpec(1000)]).ranks == [16]  # k_proj and v_proj are 16 wide
    with pytest.raises(BadInput, match="rank of 0"):
        AdapterBank(model, [SlotSpec(0)])


def test_fusing_weights_leaves_every_layer_its_own_values() -> None:
    model, untouched = tiny_qwen2(torch.float32), tiny_qwen2(torch.float32)
    AdapterBank(model, [SlotSpec(4)])
    AdapterBank(model, [SlotSpec(4)])  # the second finds them together already
    attention = model.get_submodule("model.layers.0.self_attn")
    assert attention.q_proj.weight.untyped_storage().data_ptr() == (
        attention.v_proj.weight.untyped_storage().data_ptr()
    )
    for name, weight in model.named_parameters():
        assert torch.equal(weight, untouched.get_parameter(name))
        assert weight.is_contiguous()
