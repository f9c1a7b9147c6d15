"""95 % confidence intervals of a mean, of a paired difference, and of a ratio."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from arc.scoring import wilson

_DRAWS = 10_000
_ENDS = (2.5, 97.5)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The interval of a mean: by Wilson for values of 0 and 1, else by bootstrap over documents."""
    if set(values) <= {0, 1}:
        return wilson(int(sum(values)), len(values))
    return _bootstrap(values)


def paired_interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """The interval of the mean difference over the same documents."""
    return _bootstrap([one - other for one, other in zip(ours, theirs, strict=True)])


def ratio_interval(above: Sequence[float], below: Sequence[float]) -> tuple[float, float]:
    """The interval of the ratio of two sums over documents; long documents count more."""
    drawn = _times_drawn(len(above))
    ratios = (drawn @ np.asarray(above, np.float64)) / (drawn @ np.asarray(below, np.float64))
    low, high = np.percentile(ratios, _ENDS)
    return float(low), float(high)


@lru_cache(maxsize=1)
def _times_drawn(documents: int) -> npt.NDArray[np.float64]:
    """[draws, documents] How often each document occurs in a resample; always the same."""
    shares = np.full(documents, 1 / documents)
    return np.random.default_rng(0).multinomial(documents, shares, _DRAWS).astype(np.float64)


def _bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """The bootstrap interval of the mean, by drawing how often each value occurs in a resample."""
    if not values:
        return 0.0, 0.0
    kinds, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    drawn = np.random.default_rng(0).multinomial(len(values), counts / len(values), _DRAWS)
    low, high = np.percentile(drawn @ kinds / len(values), _ENDS)
    return float(low), float(high)
