"""Decoding with causal LMs that are not Llama-shaped, through their own forward and cache.

Prompts are padded on the left, so that all rows end at the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

from arc.formats import Encoded
from models.batch import left_padded
from models.decoding.cache_argument import cache_argument
from models.decoding.places import Place, looked_up

if TYPE_CHECKING:
    from models.multilora.bank import AdapterBank


class CausalRows:
    """One row for each prompt; rows are sorted by slot."""

    def __init__(
        self,
        model: Any,
        bank: AdapterBank | None,
        prompts: Sequence[Encoded],
        slots: Sequence[int],
    ) -> None:
        self.model, self.bank = model, bank
        self.device = next(model.parameters()).device
        self.order = sorted(range(len(prompts)), key=slots.__getitem__)
        self.slots = [slots[i] for i in self.order]
        ids, positions, self.mask = left_padded([prompts[i] for i in self.order], self.device)
        self.cache = DynamicCache(config=model.base_model.config)
        self.log_probs = self._log_probs(self._forward(ids, positions)[:, -1:])[:, 0]

    def extend(self, ids_N: torch.Tensor, positions_N: torch.Tensor) -> torch.Tensor:
        return self._log_probs(self._next(ids_N[:, None], positions_N[:, None]))[:, 0]

    @torch.inference_mode()
    def read(
        self, first_NV: torch.Tensor, ones: Sequence[Encoded], likeliest: int
    ) -> list[list[Place]]:
        """Reads one continuation per row and looks up each of its tokens. `first_NV` holds the
        log-probabilities for the continuations' first tokens."""
        ids, positions = _right_padded(ones, self.device)
        columns = [looked_up(first_NV, ids[:, 0], likeliest)]
        if ids.shape[1] > 1:
            hidden = self._next(ids[:, :-1], positions[:, :-1])
            # one token of every row at a time, since each takes log-probabilities of a vocabulary
            for t in range(1, ids.shape[1]):
                log_probs = self._log_probs(hidden[:, t - 1 : t])[:, 0]
                columns.append(looked_up(log_probs, ids[:, t], likeliest))
        # the padding behind a short continuation is dropped
        return [[columns[t][i] for t in range(len(one))] for i, one in enumerate(ones)]

    def _next(self, ids_NT: torch.Tensor, positions_NT: torch.Tensor) -> torch.Tensor:
        self.mask = torch.cat([self.mask, self.mask.new_ones(ids_NT.shape)], dim=1)
        return self._forward(ids_NT, positions_NT)

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        if list(rows) == list(range(len(self.slots))):
            return
        index = torch.tensor(rows, device=self.device)
        self.cache.batch_select_indices(index)
        self.mask = self.mask[index]
        self.slots = [self.slots[row] for row in rows]

    @torch.inference_mode()
    def _forward(self, ids_NT: torch.Tensor, positions_NT: torch.Tensor) -> torch.Tensor:
        """The last hidden state of every token; the cache grows by these tokens."""
        with self._rows():
            out = self.model.base_model(
                input_ids=ids_NT,
                position_ids=positions_NT,
                attention_mask=self.mask,
                **cache_argument(self.model.base_model, self.cache),
                use_cache=True,
            )
        hidden: torch.Tensor = out.last_hidden_state
        return hidden

    @torch.inference_mode()
    def _log_probs(self, hidden_NTD: torch.Tensor) -> torch.Tensor:
        with self._rows():
            logits: torch.Tensor = self.model.get_output_embeddings()(hidden_NTD)
        return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))

    def _rows(self) -> AbstractContextManager[None]:
        if self.bank is None:
            return nullcontext()
        return self.bank.rows([self.slots.count(slot) for slot in range(len(self.bank.specs))])


def read_causal(
    model: Any,
    bank: AdapterBank | None,
    prompts: Sequence[Encoded],
    continuations: Sequence[Sequence[Encoded]],
    slots: Sequence[int],
    likeliest: int,
) -> list[list[list[Place]]]:
    """The place of every token, a list for each continuation of each prompt. A prompt is read once
    for all its continuations."""
    rows = CausalRows(model, bank, prompts, slots)
    asked = [(place, one) for place, i in enumerate(rows.order) for one in continuations[i]]
    places, ones = [place for place, _ in asked], [one for _, one in asked]
    rows.keep(places)
    found = iter(rows.read(rows.log_probs[places], ones, likeliest))
    result: list[list[list[Place]]] = [[] for _ in prompts]
    for i in rows.order:
        result[i] = [next(found) for _ in continuations[i]]
    return result


def _right_padded(
    ones: Sequence[Encoded], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and positions padded on the right, where no token before attends to the padding. The
    padding repeats a row's last position."""
    width = max(map(len, ones))
    ids = torch.zeros(len(ones), width, dtype=torch.long)
    positions = torch.zeros_like(ids)
    for i, one in enumerate(ones):
        ids[i, : len(one)] = torch.from_numpy(one.ids)
        positions[i] = int(one.positions[-1])
        positions[i, : len(one)] = torch.from_numpy(one.positions)
    return ids.to(device), positions.to(device)
