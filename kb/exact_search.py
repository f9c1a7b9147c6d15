"""Exact search: the largest inner products over rows that stand together.

Two ways lead to the same neighbours. Where the processor multiplies bf16, a shadow of the vectors
in bf16 says which rows can be among the nearest, and only those are looked up (shadow_search.py).
Everywhere else, over few rows, and for queries that are near to too many, FAISS reads all of the
vectors where they lie (faiss_scan.py). So it does until there is a shadow: making it takes as long
as some hundred searches, so it is begun when so many queries have come, and beside them.
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

FEWEST_SHADOWED = 1 << 15  # rows; below, FAISS takes milliseconds
WORTH_A_SHADOW = 64  # queries that have come before one is made
_MOST_TOGETHER = 1 << 20  # rows; bounds what a search holds of scores
_LENT = 1 << 17  # rows that FAISS gets of a file that is not to stay in memory


class ExactSearch:
    """Over the vectors of one file; safe to use from many threads."""

    def __init__(self, vectors: VectorFile, *, with_shadow: bool = False) -> None:
        """A shadow takes memory, half of what the vectors take."""
        self._vectors = vectors
        self._with_shadow = with_shadow
        self._asked, self._counting = 0, threading.Lock()  # queries
        self._making: Future[ShadowSearch | None] | None = None

    def nearest(self, runs: Sequence[range], queries: Vectors, k: int) -> Found:
        """Among the rows of these runs; where they are fewer than k, the rest of the rows is -1."""
        parts = [part for run in runs for part in _parts(run, _MOST_TOGETHER)]
        return best_of([self._nearest(part, queries, min(k, len(part))) for part in parts], k)

    def vectors(self, rows: Rows) -> Vectors:
        """A copy of these."""
        return self._vectors.rows(rows) if self._shadow() is None else self._vectors.few(rows)

    def settle(self) -> None:
        """Until a shadow that is being made is there, or given up."""
        if self._making is not None:
            wait([self._making])

    def _nearest(self, run: range, queries: Vectors, k: int) -> Found:
        self._count(run, len(queries))
        shadow = self._shadow() if len(run) >= FEWEST_SHADOWED else None
        if shadow is None or not shadow.suits(run, k):
            return scanned(self._vectors, run, queries, k)
        self._vectors.give_back()  # what was read before there was a shadow
        scores, rows = shadow.nearest(run, queries, k)
        if (open_still := rows[:, 0] < 0).any():
            found = [self._scanned(part, queries[open_still], k) for part in _parts(run, _LENT)]
            scores[open_still], rows[open_still] = best_of(found, k)
        return scores, rows

    def _scanned(self, run: range, queries: Vectors, k: int) -> Found:
        """Beside the shadow, so that there is no memory for the vectors as well."""
        found = scanned(self._vectors, run, queries, min(k, len(run)))
        self._vectors.give_back()
        return found

    def _shadow(self) -> ShadowSearch | None:
        made = self._making
        return made.result() if made is not None and made.done() else None

    def _count(self, run: range, queries: int) -> None:
        """A shadow is begun when it has become worth its time."""
        if not self._with_shadow or len(run) < FEWEST_SHADOWED:
            return
        with self._counting:
            self._asked += queries
            if self._making is None and self._asked >= WORTH_A_SHADOW:
                thread = ThreadPoolExecutor(1, "shadow")
                self._making = thread.submit(_shadow_of, self._vectors)
                thread.shutdown(wait=False)


def best_of(found: Sequence[Found], k: int) -> Found:
    """Several answers to the same queries as one."""
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
    """The rows of the wanted sources, or of all; what stands together comes as one run."""
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
    from kb.shadow_search import ShadowSearch  # with torch, which takes seconds

    return ShadowSearch.over(vectors)
