"""Losses and gradients of a step for any causal LM: padded rows through the model's own forward.

The bank's layers must stand in the model. Rows are padded on the right, where causal attention
never sees the padding and no loss is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

from models.batch import pad
from models.multilora.head import Tally, chunked
from models.multilora.layer import Rows
from models.multilora.packed import Placed, pack, parts_of_like_length


class PaddedEngine:
    parts = staticmethod(parts_of_like_length)

    def __init__(self, model: Any, rows: Rows) -> None:
        self.model, self.rows = model, rows

    def train(self, part: Sequence[Placed], tally: Tally, dropout_of: Any) -> None:
        device = next(self.model.parameters()).device
        batch = pad([placed.encoded for placed in part], device)
        answers = pack(part, self.rows.slots, device).answers
        width = batch.ids.shape[1]
        lengths = [len(placed.encoded) for placed in part]
        place = answers.places
        starts = torch.tensor([0, *lengths], device=device).cumsum(0)
        row = torch.searchsorted(starts, place, right=True) - 1
        try:
            self.rows.active = True
            self.rows.counts = tuple(
                sum(placed.slot == slot for placed in part) for slot in range(self.rows.slots)
            )
            self.rows.dropout = dropout_of(part, [width * i for i in range(len(part) + 1)])
            hidden = self.model.base_model(
                input_ids=batch.ids,
                position_ids=batch.positions,
                attention_mask=batch.ones,
                use_cache=False,
            ).last_hidden_state[row, place - starts[row]]
            self._head(hidden, answers, row * width + place - starts[row], tally)
        finally:
            self.rows.active, self.rows.counts, self.rows.dropout = False, (), None

    def _head(self, hidden: torch.Tensor, answers: Any, places: torch.Tensor, tally: Tally) -> None:
        """Goes backward through the head chunk by chunk, then once through all below it."""
        head, rows = self.model.get_output_embeddings(), self.rows
        leaf = hidden.detach().requires_grad_()
        dropout = rows.dropout

        def logits_of(span: slice) -> torch.Tensor:
            ends = (0, *answers.owned.within(span.start, span.stop).ends)
            rows.counts = tuple(b - a for a, b in pairwise(ends))
            rows.dropout = dropout.at(places[span]) if dropout else None
            logits: torch.Tensor = head(leaf[span])
            return logits

        chunked(logits_of, answers, tally, head.weight.shape[0])
        if hidden.requires_grad and leaf.grad is not None:
            torch.autograd.backward(hidden, leaf.grad)
