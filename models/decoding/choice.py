"""Chooses each row's next token: the likeliest or a sampled one, of all or of the allowed tokens.

A row samples from a random stream of its own, seeded by the caller, so that its sample does not
depend on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from arc.grammar import Grammar
from hone.errors import BadInput


@dataclass(frozen=True)
class Sampling:
    temperature: float = 1.0
    top_k: int = 0  # sample among the k likeliest tokens; 0: all
    top_p: float = 1.0  # sample among the likeliest tokens that together reach this probability

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise BadInput(
                f"temperature is {self.temperature}; give a number above 0, or write greedily"
            )
        if self.top_k < 0:
            raise BadInput(f"top_k is {self.top_k}; give a number of tokens, or 0 for all")
        if not 0 < self.top_p <= 1:
            raise BadInput(f"top_p is {self.top_p}; give a number above 0 and at most 1")


def narrowed(
    log_probs_RV: torch.Tensor, grammars: Sequence[Grammar]
) -> tuple[torch.Tensor, torch.Tensor]:
    """[rows, A] The tokens that each row's grammar allows: their log-probabilities, and their ids.
    Rows that allow fewer than A tokens are filled up with minus infinity."""
    allowed = [grammar.allowed for grammar in grammars]
    width = max(map(len, allowed))
    padded = [(*own, *own[-1:] * (width - len(own))) for own in allowed]
    counts = torch.tensor([len(own) for own in allowed], device=log_probs_RV.device)
    tokens_RA = torch.tensor(padded, device=log_probs_RV.device)
    beyond = torch.arange(width, device=log_probs_RV.device) >= counts[:, None]
    return log_probs_RV.gather(-1, tokens_RA).masked_fill_(beyond, -torch.inf), tokens_RA


def likeliest(log_probs_RV: torch.Tensor) -> torch.Tensor:
    return log_probs_RV.argmax(-1)


def drawn(
    log_probs_RV: torch.Tensor, sampling: Sampling, streams: Sequence[Random]
) -> torch.Tensor:
    """One token per row, chosen by where the row's next random number falls in the summed
    probabilities. Each row has a stream of such numbers."""
    at_R1 = torch.tensor(
        [[stream.random()] for stream in streams],
        dtype=torch.float64,
        device=log_probs_RV.device,
    )
    chances, tokens = _cut(log_probs_RV.double() / sampling.temperature, sampling)
    sums = chances.cumsum(-1)
    place = torch.searchsorted(sums, at_R1 * sums[:, -1:], right=True)
    place = place.clamp_(max=chances.shape[-1] - 1)
    return (place if tokens is None else tokens.gather(-1, place))[:, 0]


def _cut(scores_RV: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Probabilities to sample from, not normalised, and the tokens they belong to (None: all)."""
    if sampling.top_k == 0 and sampling.top_p == 1:
        return scores_RV.softmax(-1), None
    many = min(sampling.top_k or scores_RV.shape[-1], scores_RV.shape[-1])
    kept, tokens = scores_RV.topk(many, sorted=True)
    chances = kept.softmax(-1)
    before = chances.cumsum(-1) - chances
    return chances.masked_fill(before >= sampling.top_p, 0.0), tokens
