"""Finds candidates by FAISS's scan of the shadow: for one query or a few.

A scan is as fast as memory is read, and torch has nothing as fast for so few queries. Each thread
scans a part of the rows for all queries.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from kb.candidates import Candidates
from kb.faiss_scan import load_faiss
from kb.shadow import Shadow, most_candidates
from kb.vector_file import Found, Vectors

MOST_SCANNED_FOR = 3  # queries; for more, a product is faster
_NUMBERS_AT_ONCE = 16  # of a vector; the scan takes a remainder one by one


def can_scan(queries: Vectors) -> bool:
    of_whole_steps = queries.shape[1] % _NUMBERS_AT_ONCE == 0
    return len(queries) <= MOST_SCANNED_FOR and of_whole_steps


def scan_candidates(shadow: Shadow, run: range, queries: Vectors, k: int) -> Candidates:
    """Candidates among the run's rows; none for queries that are near to too many rows. Few rows
    are asked for first, because a scan takes longer the more it has to find."""
    most = most_candidates(k)
    for count in (min(2 * k + 256, most), most):
        scores, rows = _best(shadow, run, queries, count)
        kth = -np.partition(-scores, k - 1, axis=1)[:, k - 1].astype(np.float64)
        cutoffs = shadow.cutoffs(torch.tensor(queries), kth, in_bf16=False)
        reach = scores >= cutoffs[:, None]
        if count == most or (reach.sum(1) < count).all():  # else there may be more candidates
            break
    of, place = np.nonzero(reach)
    found = Candidates(len(queries), of, rows[of, place])
    return found.of_queries_with(k, most - 1)


def _best(shadow: Shadow, run: range, queries: Vectors, count: int) -> Found:
    """[queries, found] the `count` best rows of each part of the run, one part after another."""
    faiss = load_faiss()
    threads = faiss.omp_get_max_threads()
    size = -(-len(run) // threads)

    def one(start: int) -> Found:
        faiss.omp_set_num_threads(1)  # for this thread's searches
        part = run[start : start + size]
        only = faiss.SearchParameters(sel=faiss.IDSelectorRange(part.start, part.stop))
        best: Found = shadow.codes.search(queries, min(count, len(part)), params=only)
        return best

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(one, range(0, len(run), size)))
    scores, rows = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
    return scores, rows
