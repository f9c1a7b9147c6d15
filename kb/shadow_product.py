"""Which rows can be nearest, by one product of bf16 matrices: for more than a few queries.

Rows are taken in groups, whose maxima are a fraction as many as the scores. At least k rows score
as the k-th largest maximum does or better, so none of the k nearest scores less than that by more
than the scores can be off.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from kb.shadow import SPARE, Shadow, most_candidates
from kb.vector_file import Rows, Vectors

QUERIES_AT_ONCE = 64  # bounds what is held of scores
_MOST_IN_GROUP = SPARE  # rows
_GROUPS = 4  # times k at least, lest many of the nearest meet in one


class ShadowProduct:
    """For one thread at a time."""

    def __init__(self, shadow: Shadow) -> None:
        self._shadow = shadow
        self._scores = torch.empty(0, dtype=torch.bfloat16)  # kept: new memory comes slowly

    def candidates(self, run: range, queries: Vectors, k: int) -> Iterator[Rows | None]:
        """For each query rows of the run; None where it is near to too many."""
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            yield from self._of_batch(run, queries[start : start + QUERIES_AT_ONCE], k)

    def _of_batch(self, run: range, queries: Vectors, k: int) -> Iterator[Rows | None]:
        exact = torch.tensor(queries)
        scores = self._in_groups(run, rows_in_group(run, k), exact.bfloat16())
        maxima = scores.amax(0).T.contiguous().float()  # [queries, groups]
        kth = maxima.topk(k).values[:, -1].double().numpy()
        cutoffs = self._shadow.cutoffs(exact, kth, in_bf16=True)
        for i, cutoff in enumerate(cutoffs):
            found = _reaching(scores[..., i], maxima[i], cutoff, most_candidates(k))
            yield None if found is None else found + run.start

    def _in_groups(self, run: range, size: int, queries: torch.Tensor) -> torch.Tensor:
        """[size, groups, queries]; what lacks in the last groups is -inf."""
        groups = -(-len(run) // size)
        scores = self.scores(range(run.start, run.start + groups * size), queries)
        scores[len(run) :] = -torch.inf
        return scores.view(size, groups, len(queries))

    def scores(self, run: range, queries: torch.Tensor) -> torch.Tensor:
        """[rows, queries]"""
        rows = self._shadow.rows[run.start : run.stop]
        count = len(rows) * len(queries)
        if len(self._scores) < count:
            self._scores = torch.empty(count, dtype=torch.bfloat16)
        out = self._scores[:count].view(len(rows), len(queries))
        return torch.mm(rows, queries.T, out=out)


def rows_in_group(run: range, k: int) -> int:
    return max(1, min(_MOST_IN_GROUP, len(run) // (_GROUPS * k)))


def _reaching(scores: torch.Tensor, maxima: torch.Tensor, cutoff: float, most: int) -> Rows | None:
    """Rows that score so much at least, of [size, groups]; None where there are too many."""
    groups = (maxima >= cutoff).nonzero()[:, 0]
    if len(groups) >= most:
        return None
    place, group = (scores[:, groups].float() >= cutoff).nonzero(as_tuple=True)
    rows: Rows = (place * scores.shape[1] + groups[group]).numpy()
    return rows if len(rows) < most else None
