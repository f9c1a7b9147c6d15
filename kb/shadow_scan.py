"""Which rows can be nearest, by FAISS's scan of the shadow: for one query or a few.

A scan is as fast as memory is read, and torch has nothing as fast for so few. Each thread scans a
part of the rows for all queries.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from kb.candidates import Candidates
from kb.faiss_scan import load_faiss
from kb.shadow import Shadow, most_candidates
from kb.vector_file import Found, Vectors

MOST_SCANNED_FOR = 3  # queries; above, a product is faster
_NUMBERS_AT_ONCE = 16  # in the scan of a vector; where some are left over it takes them one by one


def can_scan(queries: Vectors) -> bool:
    of_whole_steps = queries.shape[1] % _NUMBERS_AT_ONCE == 0
    return len(queries) <= MOST_SCANNED_FOR and of_whole_steps


def scan_candidates(shadow: Shadow, run: range, queries: Vectors, k: int) -> Candidates:
    """Rows of the run; none of queries that are near to too many. Few are asked for first: the more
    a scan is to find, the longer it takes."""
    most = most_candidates(k)
    for count in (min(2 * k + 256, most), most):
        scores, rows = _best(shadow, run, queries, count)
        kth = -np.partition(-scores, k - 1, axis=1)[:, k - 1].astype(np.float64)
        cutoffs = shadow.cutoffs(torch.tensor(queries), kth, in_bf16=False)
        reach = scores >= cutoffs[:, None]
        if count == most or (reach.sum(1) < count).all():  # else there may be more of them
            break
    of, place = np.nonzero(reach)
    found = Candidates(len(queries), of, rows[of, place])
    return found.of_queries_with(k, most - 1)


def _best(shadow: Shadow, run: range, queries: Vectors, count: int) -> Found:
    """So many of each part of the run, or all of it: those of all parts beside one another."""
    faiss = load_faiss()
    threads = faiss.omp_get_max_threads()
    size = -(-len(run) // threads)

    def one(start: int) -> Found:
        faiss.omp_set_num_threads(1)  # of this thread's searches
        part = run[start : start + size]
        only = faiss.SearchParameters(sel=faiss.IDSelectorRange(part.start, part.stop))
        best: Found = shadow.codes.search(queries, min(count, len(part)), params=only)
        return best

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(one, range(0, len(run), size)))
    scores, rows = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
    return scores, rows
