"""Candidates: the rows that can be among the nearest, for many queries at once.

They are kept as pairs of a query and a row, not as a list for each query, so that every step is one
call for all queries. That matters beside a server's other threads: each call into a library
releases the interpreter's lock, and getting it back takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kb.vector_file import Found, Rows

Numbers = npt.NDArray[np.floating]
Which = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Candidates:
    queries: int  # how many queries there are
    of: Rows  # [pairs] the number of each pair's query, in any order
    rows: Rows  # [pairs] each pair's row

    @classmethod
    def joined(cls, parts: Sequence[Candidates]) -> Candidates:
        """The candidates of consecutive batches of queries as one."""
        firsts = np.cumsum([0, *(part.queries for part in parts)])
        of = [part.of + first for part, first in zip(parts, firsts, strict=False)]
        rows = [part.rows for part in parts]
        return cls(int(firsts[-1]), np.concatenate(of), np.concatenate(rows))

    def counts(self) -> Rows:
        """[queries] how many candidates each query has."""
        return np.bincount(self.of, minlength=self.queries)

    def only(self, which: Which) -> Candidates:
        """The pairs that `which` [pairs] marks."""
        return Candidates(self.queries, self.of[which], self.rows[which])

    def of_queries_with(self, least: int, most: int) -> Candidates:
        """The pairs of those queries that have `least` to `most` candidates."""
        counts = self.counts()
        return self.only(((counts >= least) & (counts <= most))[self.of])

    def kth(self, scores: Numbers, k: int) -> Numbers:
        """[queries] the k-th best score of each query; -inf for queries with fewer candidates."""
        best, of = self._best(scores, k)
        found = np.full(self.queries, -np.inf)
        found[of] = scores[best[:, -1]]
        return found

    def nearest(self, scores: Numbers, k: int) -> Found:
        """[queries, k] best first, equal scores in the order of rows; all rows are -1 for queries
        with fewer than k candidates."""
        best, of = self._best(scores, k)
        found = np.full((self.queries, k), -np.inf, dtype=np.float32)
        rows = np.full((self.queries, k), -1)
        found[of], rows[of] = scores[best], self.rows[best]
        return found, rows

    def _best(self, scores: Numbers, k: int) -> tuple[Rows, Rows]:
        """[some, k] the k best pairs of each query that has k, and [some] which queries have."""
        order, counts = np.lexsort((self.rows, -scores, self.of)), self.counts()
        of = np.flatnonzero(counts >= k)
        first = (np.cumsum(counts) - counts)[of]
        return order[first[:, None] + np.arange(k)], of
