"""What a model thinks of the tokens of a text that is given, place by place."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Place:
    log_probability: float  # of the token that stands there
    likeliest: tuple[tuple[int, float], ...] = ()  # tokens there; the given one may be among them


def looked_up(log_probs_NV: torch.Tensor, given_N: torch.Tensor, likeliest: int) -> list[Place]:
    """N places in which these tokens stand, each with so many of its likeliest."""
    values = log_probs_NV.gather(-1, given_N[:, None])[:, 0].tolist()
    best = likeliest_of(log_probs_NV, likeliest)
    return [Place(*pair) for pair in zip(values, best, strict=True)]


def likeliest_of(log_probs_NV: torch.Tensor, many: int) -> list[tuple[tuple[int, float], ...]]:
    """So many of the likeliest tokens of each place, best first, with what they are given."""
    if not many:
        return [()] * len(log_probs_NV)
    best = log_probs_NV.topk(min(many, log_probs_NV.shape[-1]))
    rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [tuple(zip(tokens, own, strict=True)) for tokens, own in rows]
