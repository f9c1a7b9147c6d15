"""Votes: many candidate grids, one a view, become the few attempts that ARC allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from arc.grid import Grid, spell, unspell
from hone.errors import BadInput


def vote(candidates: Sequence[Grid | None], attempts: int = 2) -> list[tuple[Grid, float]]:
    """The grids most often seen, each with its share; of equals the one seen first.

    The share is of all candidates: a view that gave no grid (None) counts as one that disagrees.
    """
    if attempts < 1:
        raise BadInput(f"{attempts} attempts; at least one is needed")
    counts = Counter(spell(cells) for cells in candidates if cells is not None)
    ranked = counts.most_common(attempts)  # keeps the order of first sight among equals
    return [(unspell(spelled), votes / len(candidates)) for spelled, votes in ranked]
