"""The bank: grouped training is solo training, and nothing leaks between slots or into the base."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import jobs_of_all_kinds, random_item, tiny_llama, tiny_mistral, tiny_qwen2
from transformers import PreTrainedModel

from client.jobs import Item, Job
from client.ttt import train_group
from hone.errors import BadInput
from models.batch import pad
from models.multilora.bank import AdapterBank, SlotSpec, bank_of
from models.multilora.decoder import runs_packed
from models.multilora.head import StepLosses
from models.multilora.packed import Weighted
from models.multilora.peft_files import AdapterFiles, write_adapter

Make = Callable[..., PreTrainedModel]


def flat(adapter: AdapterFiles) -> torch.Tensor:
    return torch.cat([f.double().ravel() for pair in adapter.tensors.values() for f in pair])


def raw(bank: AdapterBank, slot: int) -> torch.Tensor:
    """A slot's values at full precision, zero padding of small ranks left out."""
    rank = bank.ranks[slot]
    parts = [
        (layer.factors.a_KRI[slot, :rank], layer.factors.b_KOR[slot, :, :rank])
        for layer in bank.layers.values()
    ]
    return torch.cat([f.detach().ravel() for pair in parts for f in pair])


@pytest.mark.parametrize("make", [tiny_llama, tiny_qwen2, tiny_mistral])
def test_grouped_training_equals_solo_training_in_fp64(make: Make) -> None:
    model, jobs = make(torch.float64), jobs_of_all_kinds()
    grouped, runs = train_group(model, jobs)
    for slot, job in enumerate(jobs):
        solo, (run,) = train_group(model, [job])
        assert len(run.losses) == job.steps == len(runs[slot].losses)
        assert not torch.equal(raw(solo, 0), raw(AdapterBank(model, [job.spec]), 0))
        difference = (raw(grouped, slot) - raw(solo, 0)).abs().max()
        assert difference < 1e-9
        assert np.allclose(run.losses, runs[slot].losses, atol=1e-5)


def test_grouped_training_equals_solo_training_in_fp32() -> None:
    model, jobs = tiny_llama(torch.float32), jobs_of_all_kinds()
    grouped, _ = train_group(model, jobs)
    for slot, job in enumerate(jobs):
        solo, _ = train_group(model, [job])
        difference = (raw(grouped, slot) - raw(solo, 0)).norm() / raw(solo, 0).norm()
        assert difference < 1e-5


def test_padding_of_a_smaller_rank_stays_zero() -> None:
    jobs = jobs_of_all_kinds()
    bank, _ = train_group(tiny_llama(), jobs)
    for layer in bank.layers.values():
        assert not layer.factors.a_KRI[1, 2:].any()
        assert not layer.factors.b_KOR[1, :, 2:].any()
        assert layer.factors.b_KOR[1, :, :2].any()


@pytest.mark.parametrize("poison", [False, True])
def test_a_neighbour_cannot_be_felt(poison: bool) -> None:
    """At the same shapes, other values (or NaN) in slot 1 leave slots 0 and 2 bit-identical."""
    model, jobs = tiny_llama(torch.float32), jobs_of_all_kinds()
    before, _ = train_group(model, jobs)
    spec = jobs[1].spec
    if poison:  # the product of a huge alpha overflows on the first step that has B != 0
        spec = dataclasses.replace(spec, alpha=1e38, learning_rate=1e3)
    other = [random_item(30 + i, 99 + i) for i in range(5)]
    changed = [jobs[0], dataclasses.replace(jobs[1], items=other, spec=spec), jobs[2]]
    after, runs = train_group(model, changed)
    assert (runs[1].quarantined_at is not None) == poison
    assert runs[0].quarantined_at is None and runs[2].quarantined_at is None
    for slot in (0, 2):
        assert torch.equal(raw(before, slot), raw(after, slot))
    assert not torch.equal(raw(before, 1), raw(after, 1))


def test_the_base_is_bit_identical_before_and_after() -> None:
    model = tiny_llama(torch.float32)
    before = {name: p.clone() for name, p in model.named_parameters()}
    modules = [name for name, _ in model.named_modules()]
    train_group(model, jobs_of_all_kinds())
    assert [name for name, _ in model.named_modules()] == modules
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert all(p.grad is None and not p.requires_grad for p in model.parameters())


def test_generating_between_trainings_keeps_the_gradients() -> None:
    model, jobs = tiny_llama(torch.float32), jobs_of_all_kinds()
    first, _ = train_group(model, jobs)
    with torch.inference_mode():
        model.generate(torch.ones(1, 4, dtype=torch.long), max_new_tokens=3, do_sample=False)
    second, _ = train_group(model, jobs)
    assert torch.equal(first.values_KP, second.values_KP)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_an_exported_adapter_gives_stock_peft_the_same_logits(tmp_path: Path) -> None:
    from peft import PeftModel

    model = tiny_llama(torch.float32)
    bank, _ = train_group(model, jobs_of_all_kinds())
    batch = pad([random_item(17, 5).encoded])
    with bank_of(model, [bank.export(2)]) as loaded, torch.inference_mode():
        assert loaded is not None
        with loaded.rows():
            ours = model(batch.ids, position_ids=batch.positions, attention_mask=batch.ones).logits
    adapter, folder = bank.export(2), tmp_path / "adapter"
    write_adapter(folder, adapter, "tiny")
    theirs = PeftModel.from_pretrained(tiny_llama(torch.float32), str(folder)).eval()
    with torch.inference_mode():
        logits = theirs(batch.ids, position_ids=batch.positions, attention_mask=batch.ones).logits
    assert (ours - logits).norm() < 1e-5 * logits.norm()
    assert (ours - logits).abs().max() < 1e-4


def test_a_loaded_adapter_answers_as_it_did_when_trained() -> None:
    model = tiny_llama(torch.float64)
    bank, _ = train_group(model, jobs_of_all_kinds())
    again = AdapterBank(model, bank.specs)
    for slot in range(3):
        again.load(slot, bank.export(slot))
    assert (bank.values_KP - again.values_KP).abs().max() < 1e-6  # exported in fp32


def step_of(
    model: PreTrainedModel, slots: Sequence[Sequence[Weighted]], specs: Sequence[SlotSpec] = ()
) -> tuple[StepLosses, AdapterBank]:
    """One backward of a bank whose factors are away from B = 0, where half the gradients vanish."""
    bank = AdapterBank(model, specs or [SlotSpec(4, seed=i) for i in range(len(slots))])
    bank.values_KP += 0.01
    with bank:
        return bank.backward(slots), bank


def test_a_slot_loss_is_the_mean_over_its_own_answer_tokens_of_weight_times_loss() -> None:
    model = tiny_llama()
    items = [random_item(n, n).encoded for n in (10, 24, 15, 8)]
    slots = [[(items[0], 1.0), (items[1], 0.0)], [(items[2], 0.25), (items[3], 3.0)]]
    losses = step_of(model, slots)[0].losses_K
    spec = SlotSpec(4, seed=1)
    first = step_of(model, [[(items[0], 1.0)]], [SlotSpec(4, seed=0)])[0].losses_K
    alone = [step_of(model, [[(item, 1.0)]], [spec])[0].losses_K for item in items]
    counted = [item.counted for item in items]
    first *= counted[0] / (counted[0] + counted[1])
    second = (0.25 * alone[2] * counted[2] + 3 * alone[3] * counted[3]) / (counted[2] + counted[3])
    assert torch.allclose(losses, torch.cat([first, second]))


@pytest.mark.parametrize("make", [tiny_llama, tiny_qwen2, tiny_mistral])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_packed_and_padded_are_the_same_training(
    make: Make, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses and gradients, with the model's own forward and autograd as the reference."""
    model, jobs = make(dtype), jobs_of_all_kinds()
    if dtype == torch.float64:  # transformers computes its norms in fp32, whatever the model is in
        norm = type(model.get_submodule("model.norm"))
        monkeypatch.setattr(norm, "forward", _norm_in_full)
    slots = [[(item.encoded, item.weight) for item in job.items] for job in jobs]
    specs = [dataclasses.replace(job.spec, dropout=0.2) for job in jobs]
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for kinds in ([job.spec for job in jobs], specs):
        packed, its_bank = step_of(model, slots, kinds)
        with monkeypatch.context() as patch:
            patch.setattr("models.multilora.bank.runs_packed", lambda model: False)
            padded, bank = step_of(model, slots, kinds)
        assert (packed.losses_K - padded.losses_K).abs().max() < tolerance * 10
        assert torch.equal(packed.exact_K, padded.exact_K)
        assert (its_bank.grads_KP - bank.grads_KP).norm() < tolerance * bank.grads_KP.norm()


def _norm_in_full(norm: Any, x: torch.Tensor) -> torch.Tensor:
    weight: torch.Tensor = norm.weight
    return torch.nn.functional.rms_norm(x, weight.shape, weight, norm.variance_epsilon)


def test_only_layers_that_are_computed_here_run_packed() -> None:
    model = tiny_llama()
    assert runs_packed(model)
    model.config.sliding_window = 8
    assert not runs_packed(model)
    model.config.sliding_window = None
    model.config.rope_parameters = {**model.config.rope_parameters, "rope_type": "dynamic"}
    assert not runs_packed(model)


def test_the_same_seed_gives_the_same_adapter_wherever_its_slot_is() -> None:
    model = tiny_llama()
    bank = AdapterBank(model, [SlotSpec(8, seed=5), SlotSpec(4, seed=7), SlotSpec(4, seed=7)])
    assert torch.equal(raw(bank, 1), raw(bank, 2))
    alone = AdapterBank(model, [SlotSpec(4, seed=7)])
    assert torch.equal(raw(bank, 1), raw(alone, 0))


def test_jobs_that_cannot_be_trained_are_refused() -> None:
    model, item = tiny_llama(), random_item(8, 1)
    with pytest.raises(BadInput, match="nothing to train on"):
        train_group(model, [Job([], SlotSpec(), 1)])
    with pytest.raises(BadInput, match="learning_rate is nan"):
        train_group(model, [Job([item], SlotSpec(learning_rate=float("nan")), 1)])


def test_every_item_is_seen_once_an_epoch_in_an_order_of_the_seed() -> None:
    items = [random_item(8, i) for i in range(5)]
    drawn = Job(items, SlotSpec(seed=3), 10, 2).batches()
    first = [item for _ in range(5) for item in next(drawn)]
    ids = [id(item) for item in first]
    assert sorted(ids[:5]) == sorted(ids[5:]) == sorted(map(id, items))
    assert ids[:5] != [id(item) for item in items]
    replay = Job(items, SlotSpec(seed=3), 10, 2).batches()
    assert [id(item) for _ in range(5) for item in next(replay)] == ids
    other = Job(items, SlotSpec(seed=4), 10, 2).batches()
    assert [id(item) for _ in range(5) for item in next(other)] != ids


@pytest.mark.parametrize("packed", [True, False])
def test_slots_with_unequal_batches_train_as_alone(
    packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.multilora.bank.runs_packed", lambda model: packed)
    model = tiny_llama()
    one = Job([random_item(9, 1)], SlotSpec(2, seed=1), 3, 1)
    wide = Job([random_item(9, i) for i in range(4)], SlotSpec(2, seed=2), 3, 4)
    grouped, runs = train_group(model, [one, wide])
    solo, (run,) = train_group(model, [one])
    assert (raw(grouped, 0) - raw(solo, 0)).abs().max() < 1e-9
    assert runs[0].tokens == run.tokens == 27


def test_a_weight_of_zero_in_the_only_item_gives_no_gradient_and_no_nan() -> None:
    item: Item = random_item(9, 1, 0.0)
    bank, (run,) = train_group(tiny_llama(), [Job([item], SlotSpec(2), 2)])
    assert run.quarantined_at is None
    assert not any(layer.factors.b_KOR.any() for layer in bank.layers.values())
