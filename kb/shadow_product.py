"""Which rows can be nearest, by one product of bf16 matrices: for more than a few queries.

Rows are taken in groups, whose maxima are a fraction as many as the scores. At least k rows score
as the k-th largest maximum does or better, so none of the k nearest scores less than that by more
than the scores can be off.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from kb.candidates import Candidates
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

    def candidates(self, run: range, queries: Vectors, k: int) -> Candidates:
        """Rows of the run; none of queries that are near to too many."""
        starts = range(0, len(queries), QUERIES_AT_ONCE)
        batches = [queries[start : start + QUERIES_AT_ONCE] for start in starts]
        return Candidates.joined([self._of_batch(run, batch, k) for batch in batches])

    def _of_batch(self, run: range, queries: Vectors, k: int) -> Candidates:
        exact, most = torch.tensor(queries), most_candidates(k)
        scores = self._in_groups(run, rows_in_group(run, k), exact.bfloat16())
        maxima = scores.amax(0).T.contiguous().float()  # [queries, groups]
        kth = maxima.topk(k).values[:, -1].double().numpy()
        cutoffs = self._shadow.cutoffs(exact, kth, in_bf16=True)
        groups = Candidates(len(queries), *_where(maxima.numpy() >= cutoffs[:, None]))
        groups = groups.of_queries_with(1, most - 1)
        place, pair = _where(_picked(scores, groups) >= cutoffs[groups.of])
        rows = place * scores.shape[1] + groups.rows[pair] + run.start
        return Candidates(len(queries), groups.of[pair], rows).of_queries_with(k, most - 1)

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


def _picked(scores: torch.Tensor, groups: Candidates) -> npt.NDArray[np.float32]:
    """[size, pairs] of [size, groups, queries]"""
    of, group = torch.from_numpy(groups.of), torch.from_numpy(groups.rows)
    picked: npt.NDArray[np.float32] = scores[:, group, of].float().numpy()
    return picked


def _where(which: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
    first, second = which.nonzero()
    return first, second
