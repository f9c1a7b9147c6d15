"""Exact search with a shadow, which names the few rows that can be nearest; only those are read.

A scan or a product gives the candidates of a query, usually two to six times k. They are ranked by
the vectors themselves, so scores and order are those of a search without a shadow. Where there are
many candidates, the shadow's scores with the query in float32 first exclude some, because reading
scattered rows of a file is what takes time.
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

_RANKED_AT_ONCE = 16384  # pairs; bounds the memory of vectors
_LEAST_IN_GROUP = 8  # rows; in smaller groups, a product has too many maxima


class ShadowSearch:
    """Safe to use from many threads. Searches take turns, because each uses all processors."""

    def __init__(self, vectors: VectorFile, shadow: Shadow) -> None:
        self._vectors, self._shadow = vectors, shadow
        self._product = ShadowProduct(shadow)
        self._turn = threading.Lock()

    @classmethod
    def over(cls, vectors: VectorFile) -> ShadowSearch | None:
        """None where a shadow would take more than half of the free memory or cannot be made."""
        count, dimension = vectors.shape
        free = free_bytes(torch.device("cpu"))
        if free is not None and 2 * count * dimension > free // 2:
            return None
        shadow = Shadow.of(vectors)
        return None if shadow is None else cls(vectors, shadow)

    def suits(self, run: range, k: int) -> bool:
        """Whether the run is long enough for the shadow to be of use."""
        return rows_in_group(run, k) >= _LEAST_IN_GROUP

    def nearest(self, run: range, queries: Vectors, k: int) -> Found:
        """[queries, k] best first; for a query that is near to too many rows, all rows are -1."""
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
        """Drops those that the shadow's scores with the query in float32 exclude."""
        exact = torch.tensor(queries)
        rows, of = torch.from_numpy(found.rows), torch.from_numpy(found.of)
        scores = (self._shadow.rows[rows].float() * exact[of]).sum(1).numpy()
        least = found.kth(scores, k) - 2 * self._shadow.off(exact, exact)
        return found.only(scores >= least[found.of])

    def _scores(self, queries: Vectors, found: Candidates) -> Scores:
        """[pairs] the exact scores, from the vectors themselves."""
        scores = np.empty(len(found.rows), dtype=np.float32)
        for start in range(0, len(scores), _RANKED_AT_ONCE):
            part = slice(start, start + _RANKED_AT_ONCE)
            vectors = self._vectors.few(found.rows[part])
            scores[part] = np.einsum("nd,nd->n", vectors, queries[found.of[part]])
        return scores
