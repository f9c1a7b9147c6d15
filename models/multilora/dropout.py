"""Dropout masks of adapters, drawn for each item of each slot separately.

A mask depends on the slot's seed, its step, the item's place among its slot's items and the layer,
and on nothing else. So the same mask is drawn beside other adapters, in another part of a step, and
again in the backward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

_PRIME = 1_000_003


@dataclass(frozen=True)
class Stretch:
    """Where one item's tokens stand in the current forward, and the rate and seed of its mask."""

    start: int
    length: int
    rate: float
    seed: int

    @staticmethod
    def seed_of(*parts: int) -> int:
        mixed = 0
        for part in parts:
            mixed = (mixed * _PRIME + part + 1) % (2**63 - 1)
        return mixed


@dataclass(frozen=True)
class Dropout:
    stretches: Sequence[Stretch]  # those with a rate above 0
    tokens: int
    places: torch.Tensor | None = None  # the tokens that the layer reads; None: all

    def at(self, places: torch.Tensor) -> Dropout:
        return Dropout(self.stretches, self.tokens, places)

    def mask(self, layer: int, like_NI: torch.Tensor) -> torch.Tensor:
        """The factors of the layer's input, [tokens, I]: 0 or 1 / (1 - rate)."""
        mask = like_NI.new_ones(self.tokens, like_NI.shape[1])
        for one in self.stretches:
            rng = torch.Generator(like_NI.device).manual_seed(Stretch.seed_of(one.seed, layer))
            drawn = torch.rand(one.length, mask.shape[1], generator=rng, device=mask.device)
            part = mask[one.start : one.start + one.length]
            part.copy_((drawn >= one.rate).to(mask.dtype) / (1 - one.rate))
        return mask if self.places is None else mask[self.places]
