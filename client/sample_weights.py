"""What retrieved samples count for in training, beside each other.

Without `--weighted_sample_training` all count alike. With it each counts for its similarity to the
query, so that near samples move the adapter further than far ones; the mean stays 1. A sample that
is not similar at all counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kb.wire import Hit


def sample_weights(hits: Sequence[Hit], *, by_similarity: bool) -> list[float]:
    """One a hit; a hit that was picked several times stands for as many samples."""
    picks = sum(hit.multiplicity for hit in hits)
    near = [max(hit.score, 0.0) for hit in hits]
    total = sum(one * hit.multiplicity for one, hit in zip(near, hits, strict=True))
    if not by_similarity or total == 0:
        return [1.0] * len(hits)
    return [one * picks / total for one in near]
