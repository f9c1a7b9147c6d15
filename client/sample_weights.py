"""The weights of retrieved samples in training, relative to each other.

Without `--weighted_sample_training` all weights are 1. With it, a sample's weight is proportional
to its similarity to the query, so that near samples change the adapter more than far ones; the mean
stays 1. A sample whose similarity is not positive has weight 0, unless that is true of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kb.wire import Hit


def sample_weights(hits: Sequence[Hit], *, by_similarity: bool) -> list[float]:
    """One weight per hit. A hit with a multiplicity counts that often in the mean."""
    picks = sum(hit.multiplicity for hit in hits)
    near = [max(hit.score, 0.0) for hit in hits]
    total = sum(one * hit.multiplicity for one, hit in zip(near, hits, strict=True))
    if not by_similarity or total == 0:
        return [1.0] * len(hits)
    return [one * picks / total for one in near]
