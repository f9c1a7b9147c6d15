"""What chance alone would do to a score: 95 % intervals of a mean, and of a paired difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from arc.scoring import wilson

_DRAWS = 10_000
_ENDS = (2.5, 97.5)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Of right and wrong by Wilson; of shares by drawing documents anew."""
    if set(values) <= {0, 1}:
        return wilson(int(sum(values)), len(values))
    return _bootstrap(values)


def paired_interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """Of the mean difference over the same documents."""
    return _bootstrap([one - other for one, other in zip(ours, theirs, strict=True)])


def _bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """By how often each value occurs among as many drawn anew."""
    if not values:
        return 0.0, 0.0
    kinds, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    drawn = np.random.default_rng(0).multinomial(len(values), counts / len(values), _DRAWS)
    low, high = np.percentile(drawn @ kinds / len(values), _ENDS)
    return float(low), float(high)
