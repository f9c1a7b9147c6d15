"""Merges several stored adapters into one, for a query between them; nearer ones weigh more.

The weights are those of TTMM, exp(-(1 - cosine) / 0.2^2), normalised to a sum of 1. Adapters that
weigh less than a hundredth are left out. The sum is exact (models/multilora/stacking.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.multilora.peft_files import AdapterFiles

_WIDTH = 0.2  # width of the kernel
_LEAST = 0.01


def merge_weights(similarities: Sequence[float]) -> list[float]:
    """One weight per adapter, in the same order; 0 for those left out."""
    best = max(similarities)
    bells = [math.exp((one - best) / _WIDTH**2) for one in similarities]
    staying = [bell if bell >= _LEAST * sum(bells) else 0.0 for bell in bells]
    return [bell / sum(staying) for bell in staying]


def merged(adapters: Sequence[AdapterFiles], weights: Sequence[float]) -> AdapterFiles:
    """The weighted sum of the adapters as one adapter; those of weight 0 are left out."""
    from models.multilora.stacking import stacked

    counting = [(one, weight) for one, weight in zip(adapters, weights, strict=True) if weight > 0]
    return stacked([one for one, _ in counting], [weight for _, weight in counting])
