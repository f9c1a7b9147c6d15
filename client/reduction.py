"""Which of the retrieved samples are not worth training on: --data_reduction.

`relative` leaves out what is less than four fifths as near to the query as the nearest. How many
that are depends on the query alone: all stay where all are about as near, one where one stands
out. `ct3` is the rule of CT3: a sample stays where its score is above the mean or the median of
the scores, whichever is less. About half of the samples lie below their median whatever they are
worth, so what it saves is mostly the steps that half as many samples would save, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kb.wire import Hit

NEAR_ENOUGH = 0.8  # of the nearest's similarity


def reduced(hits: Sequence[Hit], rule: str) -> list[Hit]:
    """Those that stay, in their order; never none of them."""
    if not hits:
        return []
    least = RULES[rule]([hit.score for hit in hits])
    return [hit for hit in hits if hit.score >= least] or list(hits)


def _relative(scores: Sequence[float]) -> float:
    best = max(scores)
    return best * NEAR_ENOUGH if best > 0 else best


def _ct3(scores: Sequence[float]) -> float:
    """The least score above the bound; above all scores where none is."""
    bound = min(mean(scores), median(scores))
    return min((score for score in scores if score > bound), default=float("inf"))


RULES: dict[str, Callable[[Sequence[float]], float]] = {"relative": _relative, "ct3": _ct3}
