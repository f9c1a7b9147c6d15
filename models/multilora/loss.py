"""Every slot's loss: the mean over its own answer tokens, logits at those places only.

Two ways to the same numbers: packed (no padding) for the model shapes that llama_forward.py knows,
and padded rows through the model's own forward for every other causal LM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from arc.formats import IGNORED, Encoded
from models.batch import pad
from models.multilora.layer import Rows
from models.multilora.llama_forward import packed_hidden, runs_packed
from models.multilora.packed import pack


@dataclass(frozen=True)
class StepLosses:
    """What a step found, a value each slot."""

    losses_K: torch.Tensor
    exact_K: torch.Tensor  # bool: every token that counted was the likeliest one

    @classmethod
    def of_nothing(cls, like_KP: torch.Tensor) -> StepLosses:
        return cls(like_KP.new_zeros(len(like_KP)), torch.zeros(len(like_KP), dtype=torch.bool))


Weighted = tuple[Encoded, float]  # an item and what its tokens count for


def slot_losses(
    model: nn.Module, slots: Sequence[Sequence[Weighted]], rows: Rows | None = None
) -> StepLosses:
    """[slots] losses, to be summed and differentiated; `rows` tells a bank's layers who is who."""
    if runs_packed(model):
        return packed_losses(model, slots, rows)
    return padded_losses(model, slots, rows)


def packed_losses(
    model: nn.Module, slots: Sequence[Sequence[Weighted]], rows: Rows | None = None
) -> StepLosses:
    batch = pack(slots, _device(model))
    if rows is not None:
        rows.groups, rows.ends = len(slots), _unequal(batch.ends)
    hidden = packed_hidden(model, batch)
    return _means(
        model, hidden[batch.places], batch.targets, batch.owners, batch.weights, len(slots)
    )


def padded_losses(
    model: nn.Module, slots: Sequence[Sequence[Weighted]], rows: Rows | None = None
) -> StepLosses:
    width = max(map(len, slots))
    # as many rows as the fullest slot has: repeats that count for nothing
    spare = next((own[0][0], 0.0) for own in slots if own)
    filled = [[*own, *[spare] * (width - len(own))] for own in slots]
    flat = [item for own in filled for item in own]
    batch = pad([encoded for encoded, _ in flat], _device(model))
    if rows is not None:
        rows.groups, rows.ends = len(slots), ()
    hidden: torch.Tensor = model.base_model(  # type: ignore[operator]
        input_ids=batch.ids,
        position_ids=batch.positions,
        attention_mask=batch.ones,
        use_cache=False,
    ).last_hidden_state
    targets = batch.labels[:, 1:]
    row, place = torch.nonzero(targets != IGNORED, as_tuple=True)
    weights = torch.tensor([weight for _, weight in flat], device=row.device)[row]
    return _means(model, hidden[row, place], targets[row, place], row // width, weights, len(slots))


def _means(
    model: nn.Module,
    hidden_MD: torch.Tensor,
    targets_M: torch.Tensor,
    owners_M: torch.Tensor,
    weights_M: torch.Tensor,
    slots: int,
) -> StepLosses:
    logits = model.get_output_embeddings()(hidden_MD)  # type: ignore[operator]
    dtype = torch.promote_types(logits.dtype, torch.float32)
    losses = nn.functional.cross_entropy(logits.to(dtype), targets_M, reduction="none")
    share = weights_M.to(dtype)
    total = torch.zeros(slots, dtype=dtype, device=losses.device)
    mass = total.index_add(0, owners_M, share)
    # a slot without a labelled token has loss 0, not NaN
    least = torch.finfo(dtype).tiny
    # a weight of 0 must silence a NaN too, and NaN times 0 is NaN
    spoken = torch.where(share > 0, losses * share, 0.0)
    losses_K = total.index_add(0, owners_M, spoken) / mass.clamp(min=least)
    wrong = (logits.detach().argmax(-1) != targets_M) & (share > 0)
    wrong_K = total.index_add(0, owners_M, wrong.to(dtype))
    return StepLosses(losses_K, (wrong_K == 0) & (mass > 0))


def _unequal(ends: tuple[int, ...]) -> tuple[int, ...]:
    """Nothing where all slots have equally many tokens: one batched product serves them all."""
    sizes = {end - start for start, end in zip((0, *ends), ends, strict=False)}
    return () if len(sizes) == 1 else ends


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
