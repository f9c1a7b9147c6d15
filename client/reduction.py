"""`--data_reduction`: leaves out retrieved samples that are not worth training on.

The rule `relative` keeps samples that are at least four fifths as similar to the query as the
nearest one: all if they are about equally similar, one if one stands out. The rule `ct3` is that of
CT3: it keeps a sample if its score is above the mean or the median of the scores, whichever is
less. About half of any samples lie below their median, so what this rule saves is mostly what
retrieving half as many samples would save.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kb.wire import Hit

NEAR_ENOUGH = 0.8  # share of the nearest sample's similarity


def reduced(hits: Sequence[Hit], rule: str) -> list[Hit]:
    """The hits that the rule keeps, in their order; all of them if it would keep none."""
    if not hits:
        return []
    least = RULES[rule]([hit.score for hit in hits])
    return [hit for hit in hits if hit.score >= least] or list(hits)


def _relative(scores: Sequence[float]) -> float:
    best = max(scores)
    return best * NEAR_ENOUGH if best > 0 else best


def _ct3(scores: Sequence[float]) -> float:
    """The least score above the bound; infinity if there is none."""
    bound = min(mean(scores), median(scores))
    return min((score for score in scores if score > bound), default=float("inf"))


RULES: dict[str, Callable[[Sequence[float]], float]] = {"relative": _relative, "ct3": _ct3}
