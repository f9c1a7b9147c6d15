"""Rows that can be among the nearest, of many queries at once.

They stand in pairs, a query and a row, rather than in a list a query: whatever is done with them is
then done once for all queries. Beside a server's other threads that is what counts, because each
call of a library gives the interpreter's lock away, and to get it back takes milliseconds.
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
    queries: int
    of: Rows  # the query of each pair, by number; in any order
    rows: Rows

    @classmethod
    def joined(cls, parts: Sequence[Candidates]) -> Candidates:
        """Of queries that come after one another."""
        firsts = np.cumsum([0, *(part.queries for part in parts)])
        of = [part.of + first for part, first in zip(parts, firsts, strict=False)]
        rows = [part.rows for part in parts]
        return cls(int(firsts[-1]), np.concatenate(of), np.concatenate(rows))

    def counts(self) -> Rows:
        """[queries]"""
        return np.bincount(self.of, minlength=self.queries)

    def only(self, which: Which) -> Candidates:
        """[pairs]"""
        return Candidates(self.queries, self.of[which], self.rows[which])

    def of_queries_with(self, least: int, most: int) -> Candidates:
        """Without those of queries that have fewer, or more."""
        counts = self.counts()
        return self.only(((counts >= least) & (counts <= most))[self.of])

    def kth(self, scores: Numbers, k: int) -> Numbers:
        """[queries] the k-th best score of each; -inf where there are fewer."""
        best, of = self._best(scores, k)
        found = np.full(self.queries, -np.inf)
        found[of] = scores[best[:, -1]]
        return found

    def nearest(self, scores: Numbers, k: int) -> Found:
        """[queries, k] best first, equal ones in the order of rows; rows are -1 for queries with
        fewer than k."""
        best, of = self._best(scores, k)
        found = np.full((self.queries, k), -np.inf, dtype=np.float32)
        rows = np.full((self.queries, k), -1)
        found[of], rows[of] = scores[best], self.rows[best]
        return found, rows

    def _best(self, scores: Numbers, k: int) -> tuple[Rows, Rows]:
        """The k best pairs of each query that has so many, and which queries these are."""
        order, counts = np.lexsort((self.rows, -scores, self.of)), self.counts()
        of = np.flatnonzero(counts >= k)
        first = (np.cumsum(counts) - counts)[of]
        return order[first[:, None] + np.arange(k)], of
