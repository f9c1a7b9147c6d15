"""Decoding: batched, cached, of many adapters at once, it writes what one row alone would write."""

from __future__ import annotations

import numpy as np
import torch
from tiny_models import jobs_of_all_kinds, tiny_llama

from arc.canvas import END, CanvasFormat
from arc.formats import Encoded
from arc.generators import FAMILIES, sample_task
from client.ttt import train_group
from models.batch import pad
from models.decode import decode, decode_slots
from models.multilora.bank import bank_of

FORM = CanvasFormat()
PROMPTS = [
    FORM.prompt(sample_task(FAMILIES[name], 1, demos))
    for name, demos in (("recolour", 2), ("crop", 1), ("flip", 3))
]


def continued(prompt: Encoded, tokens: list[int]) -> Encoded:
    """The prompt with `tokens` behind it, placed as its cursor says."""
    cursor = FORM.cursor(prompt)
    places = [cursor.advance(token) for token in tokens]
    return Encoded(
        np.append(prompt.ids, tokens),
        np.append(prompt.positions, places),
        np.append(prompt.labels, tokens),
    )


def test_rows_padded_and_cached_write_what_a_full_forward_would() -> None:
    model = tiny_llama(torch.float64)
    rows = decode(model, FORM, PROMPTS, [12, 12, 12])
    for prompt, row in zip(PROMPTS, rows, strict=True):
        batch = pad([continued(prompt, row.tokens)])
        with torch.inference_mode():
            out = model(batch.ids, position_ids=batch.positions, attention_mask=batch.ones)
        logits = out.logits[0, len(prompt) - 1 : -1]
        assert logits.argmax(-1).tolist() == row.tokens
        expected = logits.log_softmax(-1).max(-1).values.sum()
        assert abs(row.log_probability - float(expected)) < 1e-5


def test_every_row_is_written_by_its_own_adapter() -> None:
    model = tiny_llama(torch.float64)
    bank, _ = train_group(model, jobs_of_all_kinds())
    adapters = [bank.export(slot) for slot in range(3)]
    prompts = [PROMPTS[:2], PROMPTS[2:], PROMPTS]
    rooms = [[8] * len(own) for own in prompts]
    with bank_of(model, adapters) as loaded:
        together = decode_slots(model, FORM, prompts, rooms, bank=loaded)
    assert [len(own) for own in together] == [2, 1, 3]
    for adapter, own, rows in zip(adapters, prompts, together, strict=True):
        with bank_of(model, [adapter]) as loaded:
            (alone,) = decode_slots(model, FORM, [own], [[8] * len(own)], bank=loaded)
        assert [row.tokens for row in alone] == [row.tokens for row in rows]
        assert np.allclose(
            [row.log_probability for row in alone], [row.log_probability for row in rows]
        )
    base = decode(model, FORM, PROMPTS, [8, 8, 8])
    assert [row.tokens for row in base] != [row.tokens for row in together[2]]


def test_a_row_ends_with_the_stop_token_and_the_loop_with_the_last_row() -> None:
    model = tiny_llama(torch.float64)
    with torch.no_grad():  # a head that always says END
        head = model.get_output_embeddings().weight
        head.zero_()
    zeros = decode(model, FORM, PROMPTS, [5, 5, 5])  # all logits equal: token 0 wins, never END
    assert all(row.tokens == [0] * 5 for row in zeros)
    lens = [len(row.tokens) for row in decode(_always(END), FORM, PROMPTS, [5, 5, 5])]
    assert lens == [1, 1, 1]


def test_a_row_writes_no_more_than_its_own_room_whatever_its_neighbours_write() -> None:
    model = tiny_llama(torch.float64)
    alone = [decode(model, FORM, [prompt], [9])[0].tokens for prompt in PROMPTS]
    seen: list[int] = []
    handle = model.base_model.register_forward_pre_hook(
        lambda module, args, given: seen.append(int(given["position_ids"][0, -1])),
        with_kwargs=True,
    )
    rows = decode(model, FORM, PROMPTS, [2, 9, 0])
    handle.remove()
    assert [row.tokens for row in rows] == [alone[0][:2], alone[1], []]
    assert len(seen) == 9  # the finished row stands where its last token stood
    assert len(set(seen[2:])) == 1


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
