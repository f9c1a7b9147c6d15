"""Exact search: the rows with the largest inner products, among given runs of consecutive rows.

Two methods find the same neighbours. FAISS reads all vectors where they lie (faiss_scan.py). Where
the processor multiplies bf16, a copy of the vectors in bf16, the shadow, tells which rows can be
among the nearest, and only those are read (shadow_search.py). Building the shadow takes as long as
about a hundred searches, so it begins in the background after WORTH_A_SHADOW queries. FAISS answers
until the shadow is ready, and afterwards over short runs and for queries near to too many rows.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import numpy as np

from kb.faiss_scan import scanned
from kb.vector_file import Found, Rows, VectorFile, Vectors

if TYPE_CHECKING:
    from kb.shadow_search import ShadowSearch

FEWEST_SHADOWED = 1 << 15  # rows; over fewer, FAISS takes milliseconds
WORTH_A_SHADOW = 64  # queries before a shadow is built
_MOST_TOGETHER = 1 << 20  # rows; bounds the memory of a search's scores
_LENT = 1 << 17  # rows that FAISS reads at a time when the file is not to stay in memory


class ExactSearch:
    """Searches the vectors of one file; safe to use from many threads."""

    def __init__(self, vectors: VectorFile, *, with_shadow: bool = False) -> None:
        """`with_shadow` allows a shadow, which takes half the memory of the vectors."""
        self._vectors = vectors
        self._with_shadow = with_shadow
        self._asked, self._counting = 0, threading.Lock()  # queries so far
        self._making: Future[ShadowSearch | None] | None = None

    def nearest(self, runs: Sequence[range], queries: Vectors, k: int) -> Found:
        """[queries, k] best first among the rows of these runs; -1 where they have fewer than k."""
        parts = [part for run in runs for part in _parts(run, _MOST_TOGETHER)]
        return best_of([self._nearest(part, queries, min(k, len(part))) for part in parts], k)

    def vectors(self, rows: Rows) -> Vectors:
        """A copy of the vectors of these rows."""
        return self._vectors.rows(rows) if self._shadow() is None else self._vectors.few(rows)

    def settle(self) -> None:
        """Waits until a shadow that is being built is ready or was given up."""
        if self._making is not None:
            wait([self._making])

    def _nearest(self, run: range, queries: Vectors, k: int) -> Found:
        self._count(run, len(queries))
        shadow = self._shadow() if len(run) >= FEWEST_SHADOWED else None
        if shadow is None or not shadow.suits(run, k):
            return scanned(self._vectors, run, queries, k)
        self._vectors.give_back()  # pages that were read before there was a shadow
        scores, rows = shadow.nearest(run, queries, k)
        if (open_still := rows[:, 0] < 0).any():
            found = [self._scanned(part, queries[open_still], k) for part in _parts(run, _LENT)]
            scores[open_still], rows[open_still] = best_of(found, k)
        return scores, rows

    def _scanned(self, run: range, queries: Vectors, k: int) -> Found:
        """FAISS's answer beside a shadow: there may be no memory for the vectors too, so their
        pages are released at once."""
        found = scanned(self._vectors, run, queries, min(k, len(run)))
        self._vectors.give_back()
        return found

    def _shadow(self) -> ShadowSearch | None:
        made = self._making
        return made.result() if made is not None and made.done() else None

    def _count(self, run: range, queries: int) -> None:
        """Counts the queries, and starts to build a shadow once there were enough."""
        if not self._with_shadow or len(run) < FEWEST_SHADOWED:
            return
        with self._counting:
            self._asked += queries
            if self._making is None and self._asked >= WORTH_A_SHADOW:
                thread = ThreadPoolExecutor(1, "shadow")
                self._making = thread.submit(_shadow_of, self._vectors)
                thread.shutdown(wait=False)


def best_of(found: Sequence[Found], k: int) -> Found:
    """Several answers to the same queries as one; rows are -1 where they are fewer than k."""
    scores, rows = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
    if len(found) > 1:
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores, rows = (np.take_along_axis(part, order, axis=1) for part in (scores, rows))
    lacking = [(0, 0), (0, k - scores.shape[1])]
    return (
        np.pad(scores, lacking, constant_values=-np.inf),
        np.pad(rows, lacking, constant_values=-1),
    )


def runs_of(sources: dict[str, int], wanted: Sequence[str] | None) -> list[range]:
    """The rows of the wanted sources, or of all; adjacent sources make one run."""
    runs: list[range] = []
    start = 0
    for name, count in sources.items():
        if wanted is None or name in wanted:
            if runs and runs[-1].stop == start:
                runs[-1] = range(runs[-1].start, start + count)
            else:
                runs.append(range(start, start + count))
        start += count
    return runs


def _parts(run: range, size: int) -> list[range]:
    return [run[start : start + size] for start in range(0, len(run), size)]


def _shadow_of(vectors: VectorFile) -> ShadowSearch | None:
    from models.processor import cpu_multiplies_bf16

    if not cpu_multiplies_bf16():
        return None
    from kb.shadow_search import ShadowSearch  # imports torch, which takes seconds

    return ShadowSearch.over(vectors)
