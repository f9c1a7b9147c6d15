"""Exact search by way of the shadow: it names the few rows that can be nearest, and those are read.

The candidates of a query, two to six times k as a rule, come from a scan or from a product. They
are ranked by the vectors themselves, so scores and order are those of a search without a shadow.
Where there are many candidates, scores of the shadow with the query as it is, not in bf16, say
first which of them need not be read: reading scattered rows of a file is what takes time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np
import torch

from kb.shadow import Shadow
from kb.shadow_product import ShadowProduct, rows_in_group
from kb.shadow_scan import can_scan, scan_candidates
from kb.vector_file import Found, Rows, VectorFile, Vectors
from models.free_memory import free_bytes

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
            candidates = self._candidates(run, queries, k)
            found = [self._ranked(*pair, k) for pair in zip(queries, candidates, strict=True)]
        scores, rows = (np.stack(part) for part in zip(*found, strict=True))
        return scores, rows

    def _candidates(self, run: range, queries: Vectors, k: int) -> Iterable[Rows | None]:
        if can_scan(queries):
            return scan_candidates(self._shadow, run, queries, k)
        return self._product.candidates(run, queries, k)

    def _ranked(self, query: Vectors, rows: Rows | None, k: int) -> Found:
        """By the vectors themselves; equal ones in their order."""
        if rows is None or len(rows) < k:  # none at all, where the query is out of range
            return np.full(k, -np.inf, dtype=np.float32), np.full(k, -1)
        if len(rows) > 2 * k:
            rows = self._narrowed(query, rows, k)
        scores = np.einsum("nd,d->n", self._vectors.few(rows), query)
        best = np.lexsort((rows, -scores))[:k]
        return scores[best], rows[best]

    def _narrowed(self, query: Vectors, rows: Rows, k: int) -> Rows:
        exact = torch.tensor(query)
        scores = self._shadow.rows[rows].float() @ exact
        kth = scores.topk(k).values[-1]
        left = scores >= kth - 2 * self._shadow.off(exact[None], exact[None])[0]
        narrowed: Rows = rows[left.numpy()]
        return narrowed
