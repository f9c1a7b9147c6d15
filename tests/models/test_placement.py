"""Adapters on the last layers, or on what the head reads: the same training there, and adapters
that stock PEFT loads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import VOCABULARY, random_item, tiny_llama, tiny_qwen2, tiny_tied
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel

from arc.canvas import CanvasFormat
from arc.generators import FAMILIES, sample_task
from hone.errors import BadInput
from models.batch import pad
from models.decoding.score import score
from models.multilora.bank import AdapterBank, SlotSpec, bank_of
from models.multilora.packed import Weighted
from models.multilora.peft_files import AdapterFiles, read_adapter, write_adapter
from models.multilora.targets import find_targets

torch.set_num_threads(1)
Make = Callable[..., PreTrainedModel]
SPECS = [SlotSpec(4, 8, 1e-2, seed=1), SlotSpec(2, 6, 3e-3, seed=2, clip_norm=0.5)]
SLOTS: list[list[Weighted]] = [
    [(random_item(20 + i, i).encoded, 1.0 + i) for i in range(3)],
    [(random_item(13 + i, 10 + i).encoded, 1.0) for i in range(2)],
]


def tiny_neox(dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Layers of another kind, under other names: through the model's own forward."""
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
    )
    return GPTNeoXForCausalLM(config).to(dtype).eval().requires_grad_(False)


def stirred(bank: AdapterBank, seed: int = 7) -> AdapterBank:
    """Factors that are nowhere zero, and that depend on their layer's name alone."""
    for name, layer in bank.layers.items():
        rng = torch.Generator().manual_seed(seed + sum(map(ord, name)))
        for slot, rank in enumerate(bank.ranks):
            for part in layer.factors.of(slot, rank):
                part.copy_(torch.randn(part.shape, generator=rng, dtype=part.dtype) / 8)
    return bank


def grads_of(bank: AdapterBank, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    flat = bank.flat
    return flat.a_KRI(bank.grads_KP, [name]), flat.b_KRO(bank.grads_KP, name)


def trained(
    model: PreTrainedModel,
    specs: Sequence[SlotSpec],
    slots: Sequence[Sequence[Weighted]],
    steps: int = 6,
    **how: Any,
) -> AdapterBank:
    """Two items a step and slot, in turn."""
    bank = AdapterBank(model, specs, **how)
    with bank:
        for step in range(steps):
            drawn = [[own[(step + i) % len(own)] for i in range(2)] for own in slots]
            bank.backward(drawn)
            assert all(bank.step([True] * len(specs), [1.0] * len(specs)))
    return bank


def logits_of(model: Any, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    batch = pad([random_item(17, 5).encoded])
    with torch.inference_mode():
        logits: torch.Tensor = model(
            batch.ids, position_ids=batch.positions, attention_mask=batch.ones
        ).logits
    return logits


def written(adapter: AdapterFiles, folder: Path) -> Path:
    write_adapter(folder, adapter, "tiny")
    return folder


@pytest.mark.parametrize("spelled", ["", "top", "top:", "top:two", "head:1", "ALL", "bottom:1"])
def test_an_unknown_placement_is_one_line_that_names_those_there_are(spelled: str) -> None:
    with pytest.raises(BadInput, match=r"give all, top:N .* or head") as refused:
        AdapterBank(tiny_llama(), SPECS, placement=spelled)
    assert repr(spelled) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("many", [0, -1, 3])
def test_more_layers_than_there_are_or_none_says_how_many_there_are(many: int) -> None:
    with pytest.raises(BadInput, match=f"top:{many}, but the base has 2 layers; give top:1"):
        AdapterBank(tiny_llama(), SPECS, ["lm_head"], placement=f"top:{many}")


def test_placements_that_contradict_the_targets_are_refused() -> None:
    model = tiny_llama()
    with pytest.raises(BadInput, match=r"target .*embed_tokens lies below all layers"):
        find_targets(model, ["q_proj", "embed_tokens"], "top:1")
    with pytest.raises(BadInput, match=r"head adapts no layer, .* \(q_proj\)"):
        find_targets(model, ["q_proj"], "head")
    with pytest.raises(BadInput, match="no target is in the last 1 layers"):
        find_targets(model, ["layers.0.self_attn.q_proj"], "top:1")


def test_a_placement_chooses_layers_by_number_and_leaves_the_head_where_it_is_named() -> None:
    model = tiny_neox()
    last = find_targets(model, (), "top:1")
    assert {name.split(".")[2] for name in last} == {"2"} and len(last) == 4
    assert find_targets(model, (), "top:3").keys() == find_targets(model).keys()
    named = find_targets(model, ["dense", "lm_head"], "top:2")
    assert sorted(named) == [
        "gpt_neox.layers.1.attention.dense",
        "gpt_neox.layers.2.attention.dense",
        "lm_head",
    ]
    assert list(find_targets(model, (), "head")) == ["lm_head"]
    whole = "gpt_neox.layers.1.attention.dense"
    assert list(find_targets(model, [whole])) == [whole]


@pytest.mark.parametrize("make", [tiny_llama, tiny_qwen2, tiny_neox])
def test_gradients_of_the_last_layers_are_those_that_all_layers_would_have_there(
    make: Make,
) -> None:
    """With the layers below as they are: a fresh adapter there changes nothing."""
    found = []
    for placement in ("all", "top:1"):
        bank = AdapterBank(make(torch.float64), SPECS, placement=placement)
        top = AdapterBank(make(torch.float64), SPECS, placement="top:1").layers
        with bank:
            for name in top:
                rng = torch.Generator().manual_seed(sum(map(ord, name)))
                for part in bank.layers[name].factors.of(0, 4):
                    part.copy_(torch.randn(part.shape, generator=rng, dtype=part.dtype) / 8)
            losses = bank.backward(SLOTS).losses_K
        found.append((losses, {name: [g[:1] for g in grads_of(bank, name)] for name in top}))
    (one, of_all), (other, of_top) = found
    assert torch.allclose(one, other, rtol=1e-12)
    for name, grads in of_top.items():
        for mine, theirs in zip(grads, of_all[name], strict=True):
            assert theirs.norm() > 0
            assert (mine - theirs).norm() < 1e-12 * theirs.norm()


@pytest.mark.parametrize("placement", ["top:1", "head"])
def test_packed_and_padded_agree(placement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [SlotSpec(4, 8, seed=1, dropout=0.3), SlotSpec(2, 6, seed=2)]
    found = []
    for packed in (True, False):
        monkeypatch.setattr("models.multilora.bank.runs_packed", lambda model, way=packed: way)
        with stirred(AdapterBank(tiny_llama(torch.float32), specs, placement=placement)) as bank:
            found.append((bank.backward(SLOTS), bank.grads_KP))
    (one, mine), (other, theirs) = found
    assert (one.losses_K - other.losses_K).abs().max() < 1e-5
    assert (mine - theirs).norm() < 1e-5 * theirs.norm()


def test_gradients_on_the_states_are_those_of_the_same_adapter_on_the_head() -> None:
    """With B' = W B on the head, dA is the same and dB is W^T dB'."""
    model = tiny_llama()
    states = stirred(AdapterBank(model, SPECS, placement="head"))
    head = AdapterBank(model, SPECS, ["lm_head"])
    weight = model.get_output_embeddings().weight
    ours, theirs = states.layers["lm_head"].factors, head.layers["lm_head"].factors
    theirs.a_KRI.copy_(ours.a_KRI)
    theirs.b_KOR.copy_(weight @ ours.b_KOR)
    losses = [bank.backward(SLOTS).losses_K for bank in (states, head)]
    assert torch.allclose(*losses, rtol=1e-12)
    (a, b), (a_head, b_head) = (grads_of(bank, "lm_head") for bank in (states, head))
    assert torch.allclose(a, a_head, rtol=1e-9, atol=1e-12)
    assert torch.allclose(b, b_head @ weight, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cache", [0, 1])
@pytest.mark.parametrize("placement", ["top:1", "head"])
def test_grouped_training_is_solo_training(placement: str, cache: int) -> None:
    model, how = tiny_llama(), {"placement": placement, "feature_cache_mb": cache}
    grouped = trained(model, SPECS, SLOTS, **how)
    for slot, (spec, items) in enumerate(zip(SPECS, SLOTS, strict=True)):
        solo = trained(model, [spec], [items], **how)
        for name, layer in solo.layers.items():
            pairs = zip(
                layer.factors.of(0, spec.rank),
                grouped.layers[name].factors.of(slot, spec.rank),
                strict=True,
            )
            assert all((one - other).abs().max() < 1e-9 for one, other in pairs)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
@pytest.mark.parametrize("rank", [4, 24], ids=["small", "above the vocabulary"])
@pytest.mark.parametrize("make", [tiny_llama, tiny_tied, tiny_neox])
def test_an_adapter_of_the_states_is_one_of_the_head_to_stock_peft(
    make: Make, rank: int, tmp_path: Path
) -> None:
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    model, specs = make(torch.float32), [SlotSpec(2), SlotSpec(rank, 8, 1e-2, seed=3)]
    bank = trained(model, specs, SLOTS, placement="head")
    assert bank.ranks == [2, rank]
    with bank, bank.rows([0, 1]):
        ours = logits_of(model)
    plain = logits_of(model)
    assert (ours - plain).norm() > 1e-3 * plain.norm()
    folder = written(bank.export(1), tmp_path / "adapter")
    with bank_of(model, [read_adapter(folder)]) as loaded:
        assert loaded is not None
        with loaded.rows():
            assert (logits_of(model) - ours).norm() < 1e-5 * ours.norm()
    peft: Any = PeftModel.from_pretrained(make(torch.float32), str(folder)).eval()
    assert (logits_of(peft) - ours).norm() < 1e-5 * ours.norm()
    state = get_peft_model_state_dict(peft, save_embedding_layers=False)
    assert set(load_file(folder / "adapter_model.safetensors")) == set(state)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.parametrize("make", [tiny_llama, tiny_neox])
def test_an_adapter_of_the_last_layers_is_one_of_them_alone_to_stock_peft(
    make: Make, tmp_path: Path
) -> None:
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    model = make(torch.float32)
    bank = trained(model, SPECS, SLOTS, placement="top:1")
    folder = written(bank.export(0), tmp_path / "adapter")
    with bank_of(model, [read_adapter(folder)]) as loaded:
        assert loaded is not None and loaded.layers.keys() == bank.layers.keys()
        with loaded.rows():
            ours = logits_of(model)
    peft: Any = PeftModel.from_pretrained(make(torch.float32), str(folder)).eval()
    assert (logits_of(peft) - ours).norm() < 1e-5 * ours.norm()
    state = get_peft_model_state_dict(peft, save_embedding_layers=False)
    assert set(load_file(folder / "adapter_model.safetensors")) == set(state)


@pytest.mark.parametrize("make", [tiny_llama, tiny_neox])
@pytest.mark.parametrize("placement", ["top:1", "head"])
def test_what_was_trained_answers_from_its_own_bank_as_from_its_exports(
    make: Make, placement: str
) -> None:
    model, form = make(torch.float64), CanvasFormat()
    bank = trained(model, SPECS, SLOTS, placement=placement)
    prompts = [form.prompt(sample_task(FAMILIES["crop"], seed, 1)) for seed in range(2)]
    answers = [[[1, 2, 3, 1], [4, 1]], [[5, 5]]]
    given: dict[str, Any] = {"slots": [1, 0]}
    with bank:
        own = score(model, form, prompts, answers, bank=bank, **given)
    with bank_of(model, [bank.export(slot) for slot in (0, 1)]) as loaded:
        again = score(model, form, prompts, answers, bank=loaded, **given)
    base = score(model, form, prompts, answers)
    for mine, other, plain in zip(own, again, base, strict=True):
        for one, two, three in zip(mine, other, plain, strict=True):
            assert one == pytest.approx(two, abs=1e-5) and one != pytest.approx(three, abs=1e-5)


def test_all_layers_and_as_many_as_there_are_are_the_same_training() -> None:
    model = tiny_llama(torch.float32)
    one, other = (trained(model, SPECS, SLOTS, placement=p) for p in ("all", "top:2"))
    assert torch.equal(one.values_KP, other.values_KP)
    assert one.export(0).target_modules == other.export(0).target_modules
    assert len(one.target_modules) == 7


def test_an_adapter_of_the_states_goes_on_from_its_snapshot_and_not_from_its_export() -> None:
    model = tiny_llama()
    bank = trained(model, SPECS, SLOTS, placement="head")
    again = AdapterBank(model, SPECS, placement="head")
    again.restore(1, bank.snapshot(0))
    assert torch.equal(again.values_KP[1], bank.values_KP[0])
    with pytest.raises(BadInput, match="load it into a bank whose target is the head"):
        again.load(0, bank.export(0))


@pytest.mark.parametrize("placement", ["top:1", "head"])
def test_the_base_is_as_it_was(placement: str) -> None:
    model = tiny_llama(torch.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained(model, SPECS, SLOTS, placement=placement, feature_cache_mb=1)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
