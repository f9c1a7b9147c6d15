"""Exact search by way of the shadow: it names the few rows that can be nearest, and those are read.

The candidates of a query, two to six times k as a rule, come from a scan or from a product. They
are ranked by the vectors themselves, so scores and order are those of a search without a shadow.
Where there are many candidates, scores of the shadow with the query as it is, not in bf16, say
first which of them need not be read: reading scattered rows of a file is what takes time.
"""

from __future__ import annotations

import threading

import numpy as np
import torch

from kb.candidates import Candidates
from kb.shadow import Shadow
from kb.shadow_product import ShadowProduct, rows_in_group
from kb.shadow_scan import can_scan, scan_candidates
from kb.vector_file import Found, Scores, VectorFile, Vectors
from models.free_memory import free_bytes

_RANKED_AT_ONCE = 16384  # pairs; bounds what is held of vectors
_LEAST_IN_GROUP = 8  # rows; below, a product's maxima are too many


class ShadowSearch:
    """Safe to use from many threads, one at a time: each search takes all processors."""

    def __init__(self, vectors: VectorFile, shadow: Shadow) -> None:
        self._vectors, self._shadow = vectors, shadow
        self._product = ShadowProduct(shadow)
        self._turn = threading.Lock()

    @classmethod
    def over(cls, vectors: VectorFile) -> ShadowSearch | None:
        """None where a shadow would take more than half of the free memory, or be of no use."""
        count, dimension = vectors.shape
        free = free_bytes(torch.device("cpu"))
        if free is not None and 2 * count * dimension > free // 2:
            return None
        shadow = Shadow.of(vectors)
        return None if shadow is None else cls(vectors, shadow)

    def suits(self, run: range, k: int) -> bool:
        return rows_in_group(run, k) >= _LEAST_IN_GROUP

    def nearest(self, run: range, queries: Vectors, k: int) -> Found:
        """[queries, k] best first; all rows are -1 for a query that is near to too many."""
        with self._turn:
            found = self._candidates(run, queries, k)
            if len(found.rows) > 2 * k * len(queries):
                found = self._narrowed(queries, found, k)
            return found.nearest(self._scores(queries, found), k)

    def _candidates(self, run: range, queries: Vectors, k: int) -> Candidates:
        if can_scan(queries):
            return scan_candidates(self._shadow, run, queries, k)
        return self._product.candidates(run, queries, k)

    def _narrowed(self, queries: Vectors, found: Candidates, k: int) -> Candidates:
        exact = torch.tensor(queries)
        rows, of = torch.from_numpy(found.rows), torch.from_numpy(found.of)
        scores = (self._shadow.rows[rows].float() * exact[of]).sum(1).numpy()
        least = found.kth(scores, k) - 2 * self._shadow.off(exact, exact)
        return found.only(scores >= least[found.of])

    def _scores(self, queries: Vectors, found: Candidates) -> Scores:
        """By the vectors themselves."""
        scores = np.empty(len(found.rows), dtype=np.float32)
        for start in range(0, len(scores), _RANKED_AT_ONCE):
            part = slice(start, start + _RANKED_AT_ONCE)
            vectors = self._vectors.few(found.rows[part])
            scores[part] = np.einsum("nd,nd->n", vectors, queries[found.of[part]])
        return scores
