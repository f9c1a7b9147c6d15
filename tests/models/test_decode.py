"""Decoding: batched, cached, of many adapters at once, it writes what one row alone would write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import SIZES, VOCABULARY, jobs_of_all_kinds, tiny_llama, tiny_mistral, tiny_qwen2
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from arc.canvas import END, CanvasFormat
from arc.digits import DigitsCursor
from arc.formats import Encoded
from arc.generators import FAMILIES, sample_task
from client.ttt import train_group
from models.batch import pad
from models.decoding.frontier import Frontier
from models.decoding.llama import LlamaDecoder
from models.decoding.write import Bounds, Writing, Written, decode, decode_slots
from models.multilora.bank import AdapterBank, SlotSpec, bank_of
from models.packed_linear import PackedLinear

FORM = CanvasFormat()
PROMPTS = [
    FORM.prompt(sample_task(FAMILIES[name], 1, demos))
    for name, demos in (("recolour", 2), ("crop", 1), ("flip", 3))
]
EVERYTHING = ("q_proj", "v_proj", "o_proj", "up_proj", "down_proj", "lm_head", "embed_tokens")
Make = Callable[[torch.dtype], PreTrainedModel]


class Line:
    """A format of plain text positions."""

    stop = 3

    def cursor(self, prompt: Encoded) -> DigitsCursor:
        return DigitsCursor(int(prompt.positions[-1]))


def text(length: int, seed: int = 0, like: Encoded | None = None) -> Encoded:
    """Random tokens; `like` gives the first ones."""
    ids = np.random.default_rng(seed).integers(0, VOCABULARY, length)
    if like is not None:
        ids = np.concatenate((like.ids, ids))
    return Encoded(ids, np.arange(len(ids)), ids)


TEXTS = [text(n, n) for n in (9, 21, 4, 21)]


def biased_qwen2(dtype: torch.dtype) -> PreTrainedModel:
    model = tiny_qwen2(dtype)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("bias"):
                value.normal_(generator=torch.Generator().manual_seed(len(name)))
    return model


def tied_llama(dtype: torch.dtype) -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, tie_word_embeddings=True)
    return LlamaForCausalLM(config).to(dtype).eval().requires_grad_(False)


def gelu_llama(dtype: torch.dtype) -> PreTrainedModel:
    """One that is not computed here but goes its own way."""
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, hidden_act="gelu")
    return LlamaForCausalLM(config).to(dtype).eval().requires_grad_(False)


MODELS: list[Make] = [tiny_llama, biased_qwen2, tied_llama, tiny_mistral, gelu_llama]


@pytest.fixture(autouse=True)
def exact_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers computes norms in fp32 whatever the model is in; here in fp64."""

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        shrink = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * (wide * shrink).to(x.dtype)  # type: ignore[no-any-return]

    for name in ("llama", "qwen2", "mistral"):
        kind = f"{name.capitalize()}RMSNorm"
        monkeypatch.setattr(f"transformers.models.{name}.modeling_{name}.{kind}.forward", forward)


def stirred(model: Any, count: int, targets: tuple[str, ...] = ()) -> AdapterBank:
    """A bank whose adapters say something, unequal ranks among them."""
    specs = [SlotSpec(rank=2 + slot, alpha=8, seed=slot) for slot in range(count)]
    bank = AdapterBank(model, specs, targets)
    rng = torch.Generator().manual_seed(count)
    for layer in bank.layers.values():
        for slot in range(count):
            b = layer.factors.b_KOR[slot, :, : 2 + slot]
            b.copy_(torch.randn(b.shape, generator=rng, dtype=torch.float64) * 0.3)
    return bank


def continued(form: Writing, prompt: Encoded, tokens: list[int]) -> Encoded:
    """The prompt with `tokens` behind it, placed as its cursor says."""
    cursor = form.cursor(prompt)
    places = [cursor.advance(token) for token in tokens]
    return Encoded(
        np.append(prompt.ids, tokens),
        np.append(prompt.positions, places),
        np.append(prompt.labels, tokens),
    )


def full_log_probs(model: Any, form: Writing, prompt: Encoded, tokens: list[int]) -> torch.Tensor:
    """[tokens, vocabulary] as transformers computes them, without a cache."""
    batch = pad([continued(form, prompt, tokens)])
    with torch.inference_mode():
        out = model(batch.ids, position_ids=batch.positions, attention_mask=batch.ones)
    logits: torch.Tensor = out.logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1)


def assert_greedy(model: Any, form: Writing, prompt: Encoded, row: Written, near: float) -> None:
    expected = full_log_probs(model, form, prompt, row.tokens).max(-1)
    assert expected.indices.tolist() == row.tokens
    assert abs(row.log_probability - float(expected.values.sum())) < near


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_rows_write_what_a_full_forward_would(make: Make, dtype: torch.dtype, near: float) -> None:
    model = make(dtype)
    for form, prompts in ((FORM, PROMPTS), (Line(), TEXTS)):
        rows = decode(model, form, prompts, [12] * len(prompts))
        for prompt, row in zip(prompts, rows, strict=True):
            assert_greedy(model, form, prompt, row, near)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("targets", [(), EVERYTHING])
def test_every_row_is_written_by_its_own_adapter(make: Make, targets: tuple[str, ...]) -> None:
    model = make(torch.float64)
    prompts = [PROMPTS[:2], PROMPTS[2:], PROMPTS, [], TEXTS]
    with stirred(model, len(prompts), targets) as bank:
        rooms = [[10] * len(own) for own in prompts]
        together = decode_slots(model, FORM, prompts, rooms, bank=bank)
        assert [len(own) for own in together] == [2, 1, 3, 0, 4]
        for slot, own in enumerate(together):
            counts = [int(slot == one) for one in range(len(prompts))]
            for prompt, row in zip(prompts[slot], own, strict=True):
                with bank.rows(counts):
                    assert_greedy(model, FORM, prompt, row, 1e-9)
    base = decode(model, FORM, PROMPTS, [10, 10, 10])
    assert [row.tokens for row in base] != [row.tokens for row in together[2]]


def test_text_is_written_as_transformers_generates_it() -> None:
    model = tiny_llama(torch.float64)
    model.generation_config.pad_token_id = 0
    rows = decode(model, Line(), TEXTS, [15] * len(TEXTS))
    for prompt, row in zip(TEXTS, rows, strict=True):
        out = model.generate(
            torch.from_numpy(prompt.ids)[None],
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=15,
            do_sample=False,
            eos_token_id=Line.stop,
        )
        assert out[0, len(prompt) :].tolist() == row.tokens


@pytest.mark.parametrize("make", [tiny_llama, gelu_llama])
def test_a_row_writes_the_same_alone_and_in_any_company(make: Make) -> None:
    """Lengths from 1 on, equal prompts, shared beginnings, in any order, with any room."""
    model, rng = make(torch.float64), np.random.default_rng(0)
    trunk = text(70, 5)
    prompts = [text(int(n), i) for i, n in enumerate(rng.integers(1, 60, 12))]
    prompts += [text(int(n), i, trunk) for i, n in enumerate(rng.integers(1, 20, 6))]
    prompts += [trunk, prompts[0], prompts[0], prompts[-1]]
    slots = rng.integers(0, 3, len(prompts)).tolist()
    rooms = rng.integers(0, 25, len(prompts)).tolist()
    with stirred(model, 3) as bank:
        alone = [
            decode(model, Line(), [prompt], [room], slots=[slot], bank=bank)[0]
            for prompt, slot, room in zip(prompts, slots, rooms, strict=True)
        ]
        for seed in range(2):
            order = np.random.default_rng(seed).permutation(len(prompts))
            together = decode(
                model,
                Line(),
                [prompts[i] for i in order],
                [rooms[i] for i in order],
                slots=[slots[i] for i in order],
                bank=bank,
            )
            for i, row in zip(order, together, strict=True):
                assert row.tokens == alone[i].tokens
                assert abs(row.log_probability - alone[i].log_probability) < 1e-9


def tokens_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens that each later forward of a Llama-shaped model computes."""
    seen: list[int] = []
    hidden = LlamaDecoder.hidden

    def counted(self: LlamaDecoder, ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append(len(ids))
        return hidden(self, ids, *rest)

    monkeypatch.setattr(LlamaDecoder, "hidden", counted)
    return seen


def test_what_prompts_share_is_read_once_and_nothing_is_padded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, trunk = tiny_llama(torch.float64), text(100, 5)
    seen = tokens_read(monkeypatch)
    prompts = [text(7, 1, trunk), text(20, 2, trunk), text(30, 3)]
    decode(model, Line(), [*prompts, prompts[0], prompts[2]], [1] * 5)
    assert sum(seen) == 100 + 7 + 20 + 30
    seen.clear()
    with stirred(model, 2) as bank:  # an adapter of its own reads it its own way
        decode(model, Line(), prompts[:2], [1, 1], slots=[0, 1], bank=bank)
    assert sum(seen) == 107 + 120


@pytest.mark.parametrize("make", [tiny_llama, gelu_llama])
def test_bounds_on_memory_change_when_rows_are_written_and_nothing_else(make: Make) -> None:
    model, prompts = make(torch.float64), [TEXTS, TEXTS[:2], TEXTS[2:]]
    rooms = [[7 + len(prompt) % 3 for prompt in own] for own in prompts]
    with stirred(model, 3) as bank:
        free = decode_slots(model, Line(), prompts, rooms, bank=bank)
        for bounds in (Bounds(kept=60), Bounds(kept=1, read=8)):
            held = decode_slots(model, Line(), prompts, rooms, bank=bank, bounds=bounds)
            for own, same in zip(free, held, strict=True):
                assert [row.tokens for row in own] == [row.tokens for row in same]


def test_rows_above_the_bound_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = tiny_llama(torch.float64), list[int]()
    opened = Frontier.__init__

    def counting(self: Frontier, model: Any, prompts: Any, **how: Any) -> None:
        seen.append(sum(map(len, prompts)) + 5 * len(prompts))
        opened(self, model, prompts, **how)

    monkeypatch.setattr(Frontier, "__init__", counting)
    decode(model, Line(), TEXTS, [5] * len(TEXTS), bounds=Bounds(kept=40))
    assert max(seen) <= 40 and sum(seen) == sum(map(len, TEXTS)) + 5 * len(TEXTS)


def test_rows_that_are_done_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_llama(torch.float64)
    form = Line()
    form.stop = -1
    seen = tokens_read(monkeypatch)
    prompts = [text(10, seed) for seed in range(16)]
    rows = decode(model, form, prompts, [1] * 8 + [4] * 7 + [6])
    assert [len(row.tokens) for row in rows] == [1] * 8 + [4] * 7 + [6]
    assert seen == [160, 8, 8, 8, 1, 1]


def test_a_row_ends_with_the_stop_token_and_the_loop_with_the_last_row() -> None:
    model = tiny_llama(torch.float64)
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
    zeros = decode(model, FORM, PROMPTS, [5, 5, 5])  # all logits equal: token 0 wins, never END
    assert all(row.tokens == [0] * 5 for row in zeros)
    lens = [len(row.tokens) for row in decode(_always(END), FORM, PROMPTS, [5, 5, 5])]
    assert lens == [1, 1, 1]


def test_a_row_writes_no_more_than_its_own_room_whatever_its_neighbours_write() -> None:
    model = tiny_llama(torch.float64)
    alone = [decode(model, FORM, [prompt], [9])[0].tokens for prompt in PROMPTS]
    rows = decode(model, FORM, PROMPTS, [2, 9, 0])
    assert [row.tokens for row in rows] == [alone[0][:2], alone[1], []]


def test_a_row_that_is_done_repeats_itself_on_the_spot() -> None:
    model = gelu_llama(torch.float64)
    seen: list[int] = []
    handle = model.base_model.register_forward_pre_hook(
        lambda module, args, given: seen.append(int(given["position_ids"][0, -1])),
        with_kwargs=True,
    )
    decode(model, FORM, PROMPTS[:1] + PROMPTS[1:2] * 8, [2] + [9] * 8)
    handle.remove()
    assert len(seen) == 9  # one in nine does not leave
    assert len(set(seen[2:])) == 1


def test_a_packed_base_writes_what_its_dense_values_write() -> None:
    model, dense = (tiny_llama(torch.float32) for _ in range(2))
    for name, layer in list(dense.named_modules()):
        if isinstance(layer, torch.nn.Linear) and "lm_head" not in name:
            packed = PackedLinear.of(layer)
            layer.weight.data = packed.dense()
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, packed)
    for ours, theirs in zip(
        decode(model, FORM, PROMPTS, [8] * 3), decode(dense, FORM, PROMPTS, [8] * 3), strict=True
    ):
        assert ours.tokens == theirs.tokens
        assert abs(ours.log_probability - theirs.log_probability) < 1e-4


def test_training_after_writing_is_as_if_nothing_had_been_written() -> None:
    jobs = jobs_of_all_kinds()
    fresh, used = tiny_llama(torch.float64), tiny_llama(torch.float64)
    before = {name: value.clone() for name, value in used.state_dict().items()}
    with torch.inference_mode():
        decode(used, FORM, PROMPTS, [4] * 3)
    (bank, _), (expected, _) = train_group(used, jobs), train_group(fresh, jobs)
    assert torch.equal(bank.values_KP, expected.values_KP)
    with bank_of(used, [bank.export(slot) for slot in range(3)]) as loaded:
        decode_slots(used, FORM, [PROMPTS] * 3, [[4] * 3] * 3, bank=loaded)
    out = used(torch.arange(5)[None], attention_mask=torch.ones(1, 5)).logits
    assert out.requires_grad is False
    assert all(torch.equal(value, before[name]) for name, value in used.state_dict().items())


def test_a_poisoned_adapter_is_not_felt_by_its_neighbours() -> None:
    model = tiny_llama(torch.float64)
    prompts, rooms = [TEXTS] * 3, [[6] * len(TEXTS)] * 3
    with stirred(model, 3) as bank:
        clean = decode_slots(model, Line(), prompts, rooms, bank=bank)
        for layer in bank.layers.values():
            layer.factors.b_KOR[1].fill_(torch.nan)
        poisoned = decode_slots(model, Line(), prompts, rooms, bank=bank)
    for slot in (0, 2):
        assert [row.tokens for row in clean[slot]] == [row.tokens for row in poisoned[slot]]


def _always(token: int) -> torch.nn.Module:
    model = tiny_llama(torch.float64)
    with torch.no_grad():
        model.get_submodule("model.norm").weight.fill_(0.0)
        head = torch.nn.Linear(32, 16, dtype=torch.float64).requires_grad_(False)
        head.weight.zero_()
        head.bias.zero_()
        head.bias[token] = 1.0
    model.set_output_embeddings(head)
    return model
