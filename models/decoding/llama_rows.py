"""Decoding with Llama-shaped models, through the forward and the cache of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from arc.formats import Encoded
from models.decoding.context import Context
from models.decoding.families import families
from models.decoding.llama import LlamaDecoder
from models.decoding.prefill import Block, numbered, prompt_blocks, read
from models.decoding.products import Runs

if TYPE_CHECKING:
    from models.multilora.bank import AdapterBank


class LlamaRows:
    """One row for each prompt; rows are sorted by slot and prompt."""

    def __init__(
        self,
        model: Any,
        bank: AdapterBank | None,
        prompts: Sequence[Encoded],
        slots: Sequence[int],
        token_budget: int,
    ) -> None:
        found = families(prompts, slots)
        self.order = [i for family in found for i in family.members]
        in_order = [slots[i] for i in self.order]
        self.decoder = LlamaDecoder(model, bank, list(dict.fromkeys(in_order)))
        self.slots = numbered(in_order)
        rectangles, blocks = prompt_blocks(prompts, found, self.decoder.keys)
        self.log_probs = self._read(blocks, token_budget)
        self.context = Context(self.decoder.keys, rectangles)
        self.runs = self._runs()

    @torch.inference_mode()
    def extend(self, ids_N: torch.Tensor, positions_N: torch.Tensor) -> torch.Tensor:
        self.context.own.make_room()
        hidden = self.decoder.hidden(ids_N, positions_N, self.runs, self.context)
        return self.decoder.log_probs(hidden, self.runs)

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        self.context.keep(rows)
        kept = [self.slots[row] for row in rows]
        alive = sorted(set(kept))
        if len(alive) < self.decoder.slots:
            self.decoder.select(torch.tensor(alive, device=self.decoder.keys.device))
        self.slots = numbered(kept)
        self.runs = self._runs()

    @torch.inference_mode()
    def _read(self, blocks: Sequence[Block], budget: int) -> torch.Tensor:
        found = [self.decoder.log_probs(*result) for result in read(self.decoder, blocks, budget)]
        return torch.cat(found)

    def _runs(self) -> Runs:
        device = self.decoder.keys.device
        return Runs.of(self.slots, [1] * len(self.slots), self.decoder.slots, device)
