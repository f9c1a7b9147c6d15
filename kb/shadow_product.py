"""Finds candidates by one product of bf16 matrices: for more than a few queries.

Rows are grouped, because the groups' maxima are far fewer than the scores. At least k rows reach
the k-th largest maximum, so the scores of the k nearest are not below it by more than scores can be
off.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from kb.candidates import Candidates
from kb.shadow import SPARE, Shadow, most_candidates
from kb.vector_file import Rows, Vectors

QUERIES_AT_ONCE = 64  # bounds the memory of scores
_MOST_IN_GROUP = SPARE  # rows
_GROUPS = 4  # times k at least, lest many of the nearest share one


class ShadowProduct:
    """Used by one thread at a time."""

    def __init__(self, shadow: Shadow) -> None:
        self._shadow = shadow
        self._scores = torch.empty(0, dtype=torch.bfloat16)  # kept: allocating it is slow

    def candidates(self, run: range, queries: Vectors, k: int) -> Candidates:
        """Candidates among the run's rows; none for queries that are near to too many rows."""
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
        """[size, groups, queries] the scores; -inf for rows after the run's last."""
        groups = -(-len(run) // size)
        scores = self.scores(range(run.start, run.start + groups * size), queries)
        scores[len(run) :] = -torch.inf
        return scores.view(size, groups, len(queries))

    def scores(self, run: range, queries: torch.Tensor) -> torch.Tensor:
        """[rows, queries], valid until the next call."""
        rows = self._shadow.rows[run.start : run.stop]
        count = len(rows) * len(queries)
        if len(self._scores) < count:
            self._scores = torch.empty(count, dtype=torch.bfloat16)
        out = self._scores[:count].view(len(rows), len(queries))
        return torch.mm(rows, queries.T, out=out)


def rows_in_group(run: range, k: int) -> int:
    return max(1, min(_MOST_IN_GROUP, len(run) // (_GROUPS * k)))


def _picked(scores: torch.Tensor, groups: Candidates) -> npt.NDArray[np.float32]:
    """[size, pairs] the scores of these pairs of query and group."""
    of, group = torch.from_numpy(groups.of), torch.from_numpy(groups.rows)
    picked: npt.NDArray[np.float32] = scores[:, group, of].float().numpy()
    return picked


def _where(which: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
    first, second = which.nonzero()
    return first, second
