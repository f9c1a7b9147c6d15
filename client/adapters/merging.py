"""Several kept adapters as one, for a query between them: the nearer, the more it counts.

The weights are TTMM's, exp(-(1 - cosine) / 0.2^2), brought to a sum of 1; who is left with less
than a hundredth is left out. The sum is exact (models/multilora/stacking.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.multilora.peft_files import AdapterFiles

_WIDTH = 0.2  # of the bell
_LEAST = 0.01


def merge_weights(similarities: Sequence[float]) -> list[float]:
    """One each, in the same order, of which those that are dropped are 0."""
    best = max(similarities)
    bells = [math.exp((one - best) / _WIDTH**2) for one in similarities]
    staying = [bell if bell >= _LEAST * sum(bells) else 0.0 for bell in bells]
    return [bell / sum(staying) for bell in staying]


def merged(adapters: Sequence[AdapterFiles], weights: Sequence[float]) -> AdapterFiles:
    """Those that count, in one."""
    from models.multilora.stacking import stacked

    counting = [(one, weight) for one, weight in zip(adapters, weights, strict=True) if weight > 0]
    return stacked([one for one, _ in counting], [weight for _, weight in counting])
