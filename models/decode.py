"""Batched greedy decoding: many prompts of many adapters in one loop.

Prompts of unequal length are padded on the left; every row's next position comes from its own
cursor, because on a canvas the next token does not always stand one to the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from arc.formats import Cursor, Encoded

if TYPE_CHECKING:
    from models.multilora.bank import AdapterBank


class Writing(Protocol):
    """What decoding needs of a format."""

    stop: int

    def cursor(self, prompt: Encoded) -> Cursor: ...


@dataclass
class Written:
    """What a row has written so far, with the log-probability of all of it."""

    cursor: Cursor
    room: int  # tokens that it may write
    place: int = 0  # where the last of them stands
    tokens: list[int] = field(default_factory=list)
    log_probability: float = 0.0
    done: bool = False


def decode_slots(
    model: nn.Module,
    form: Writing,
    prompts: Sequence[Sequence[Encoded]],
    rooms: Sequence[Sequence[int]],
    *,
    bank: AdapterBank | None = None,
) -> list[list[Written]]:
    """Answers to `prompts[i]` by the adapter in slot i; without a bank, by the base."""
    width = max(map(len, prompts))
    # equally many rows of each slot: its last prompt again, with no room to write
    rows = [p for own in prompts for p in [*own, *[own[-1]] * (width - len(own))]]
    room = [r for own in rooms for r in [*own, *[0] * (width - len(own))]]
    if bank is None:
        flat = decode(model, form, rows, room)
    else:
        with bank.rows():
            flat = decode(model, form, rows, room)
    return [flat[i * width :][: len(own)] for i, own in enumerate(prompts)]


@torch.inference_mode()
def decode(
    model: nn.Module, form: Writing, prompts: Sequence[Encoded], rooms: Sequence[int]
) -> list[Written]:
    """The greedy answer to every prompt, up to the format's stop token or its row's room."""
    device = next(model.parameters()).device
    rows = [
        Written(form.cursor(prompt), room, int(prompt.positions[-1]), done=room == 0)
        for prompt, room in zip(prompts, rooms, strict=True)
    ]
    ids, positions, mask = _left_padded(prompts, device)
    cache = None
    for _ in range(max(rooms)):
        out = model.base_model(  # type: ignore[operator]
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
        )
        cache = out.past_key_values
        logits = model.get_output_embeddings()(out.last_hidden_state[:, -1])  # type: ignore[operator]
        _write_next(rows, logits.float().log_softmax(-1), form.stop)
        if all(row.done for row in rows):
            break
        ids, positions = _last_tokens(rows, device)
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
    return rows


def _write_next(rows: list[Written], log_probs: torch.Tensor, stop: int) -> None:
    best = log_probs.max(-1)
    for row, token, value in zip(rows, best.indices.tolist(), best.values.tolist(), strict=True):
        if not row.done:
            row.tokens.append(token)
            row.place = row.cursor.advance(token)
            row.log_probability += value
            row.done = token == stop or len(row.tokens) == row.room


def _last_tokens(rows: list[Written], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """What every row goes on from. A finished one repeats itself on the spot, so that it never
    leaves the model's context; nobody reads it, and no row sees another."""
    ids = [row.tokens[-1] if row.tokens else 0 for row in rows]
    places = [row.place for row in rows]
    return (
        torch.tensor(ids, device=device)[:, None],
        torch.tensor(places, device=device)[:, None],
    )


def _left_padded(
    prompts: Sequence[Encoded], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    positions, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        start = width - len(prompt)
        ids[i, start:] = torch.from_numpy(prompt.ids)
        positions[i, start:] = torch.from_numpy(prompt.positions)
        positions[i, :start] = int(prompt.positions[0])
        mask[i, start:] = 1
    return ids.to(device), positions.to(device), mask.to(device)
