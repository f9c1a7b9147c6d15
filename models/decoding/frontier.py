"""Rows in the middle of being written, to be extended by chosen tokens, forked and dropped.

    frontier = Frontier(model, prompts, bank=bank, slots=slots)
    frontier.log_probs                              # [rows, vocabulary] of each row's next token
    frontier.keep([0, 0, 2])                        # row 0 twice, row 2; row 1 is dropped
    frontier.extend(tokens, positions)              # one token a row; log_probs are then the next

Rows are in the caller's order. Equal prompts of one slot are read once, and so is a long beginning
that prompts share. A fork copies what the row has written, not its prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from arc.formats import Encoded
from models.decoding.prefill import TOKEN_BUDGET

if TYPE_CHECKING:
    from models.multilora.bank import AdapterBank


class Rows(Protocol):
    """The rows in the order that suits the model: at first, row i belongs to prompt `order[i]`."""

    order: list[int]
    log_probs: torch.Tensor  # [rows, vocabulary] of the prompts' next tokens, in that order

    def extend(self, ids_N: torch.Tensor, positions_N: torch.Tensor) -> torch.Tensor:
        """Appends a token to every row; returns the log-probabilities of the next."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """New row i continues old row `rows[i]`; `rows` never decreases."""
        ...


class Frontier:
    def __init__(
        self,
        model: nn.Module,
        prompts: Sequence[Encoded],
        *,
        slots: Sequence[int] | None = None,
        bank: AdapterBank | None = None,
        token_budget: int = TOKEN_BUDGET,
    ) -> None:
        """`slots[i]` is the bank's slot whose adapter writes row i; without a bank, the base writes
        all rows. `token_budget`: prompt tokens that a Llama-shaped model reads at a time."""
        own = [0] * len(prompts) if slots is None or bank is None else list(slots)
        names = [_content(*pair) for pair in zip(own, prompts, strict=True)]
        first = {name: row for row, name in reversed(list(enumerate(names)))}
        unlike = sorted(first.values())
        self.rows = open_rows(
            model,
            bank,
            [prompts[row] for row in unlike],
            [own[row] for row in unlike],
            token_budget,
        )
        standing = {names[unlike[i]]: place for place, i in enumerate(self.rows.order)}
        wanted = [standing[name] for name in names]
        self.log_probs = self.rows.log_probs[wanted]
        self._go_on_from(wanted)

    def __len__(self) -> int:
        return len(self.order)

    def extend(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Appends a token to every row; returns the log-probabilities of the next."""
        ids, places = (
            torch.tensor([column[row] for row in self.order], device=self.log_probs.device)
            for column in (tokens, positions)
        )
        found = self.rows.extend(ids, places)
        self.log_probs = found if self.back is None else found.index_select(0, self.back)
        return self.log_probs

    def keep(self, rows: Sequence[int]) -> None:
        """New row i continues old row `rows[i]`: rows named twice are forked, others dropped."""
        self.log_probs = self.log_probs[list(rows)]
        self._go_on_from([self.places[row] for row in rows])

    def _go_on_from(self, wanted: Sequence[int]) -> None:
        """New row i continues row `wanted[i]` of the model's rows."""
        self.order = sorted(range(len(wanted)), key=wanted.__getitem__)
        self.rows.keep([wanted[row] for row in self.order])
        self.places = sorted(range(len(wanted)), key=self.order.__getitem__)
        same = self.places == list(range(len(wanted)))
        self.back = None if same else torch.tensor(self.places, device=self.log_probs.device)


def open_rows(
    model: nn.Module,
    bank: AdapterBank | None,
    prompts: Sequence[Encoded],
    slots: Sequence[int],
    token_budget: int,
) -> Rows:
    """Reads the prompts in the way that suits the model."""
    from models.decoding.causal_rows import CausalRows
    from models.decoding.llama_rows import LlamaRows
    from models.multilora.decoder import runs_packed

    if runs_packed(model):
        return LlamaRows(model, bank, prompts, slots, token_budget)
    return CausalRows(model, bank, prompts, slots)


def _content(slot: int, prompt: Encoded) -> tuple[int, bytes, bytes]:
    return slot, prompt.ids.tobytes(), prompt.positions.tobytes()
