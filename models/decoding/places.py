"""The model's log-probabilities at each place of a given text."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Place:
    log_probability: float  # of the given token
    # the likeliest tokens there, best first, with their log-probabilities
    likeliest: tuple[tuple[int, float], ...] = ()


def looked_up(log_probs_NV: torch.Tensor, given_N: torch.Tensor, likeliest: int) -> list[Place]:
    """The N places at which the given tokens stand, each with its `likeliest` likeliest tokens."""
    values = log_probs_NV.gather(-1, given_N[:, None])[:, 0].tolist()
    best = likeliest_of(log_probs_NV, likeliest)
    return [Place(*pair) for pair in zip(values, best, strict=True)]


def likeliest_of(log_probs_NV: torch.Tensor, many: int) -> list[tuple[tuple[int, float], ...]]:
    """The `many` likeliest tokens of each place, best first, with their log-probabilities."""
    if not many:
        return [()] * len(log_probs_NV)
    best = log_probs_NV.topk(min(many, log_probs_NV.shape[-1]))
    rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [tuple(zip(tokens, own, strict=True)) for tokens, own in rows]
