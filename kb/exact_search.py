"""FAISS's exact index, asked so that it takes its fastest way.

It has three ways. A few queries are scanned for, each by a thread of its own: as fast as memory is
read. Many are one product of matrices, several times as fast a query. With fewer queries than
threads it cuts the vectors up and multiplies each part: for one or two queries that is several
times as slow as a scan. Which way it takes hangs on the number of threads, which is the calling
thread's own, and on a threshold of queries x dimension, which is one for the process and five times
too high for usual batches. Whatever it takes, the neighbours are the same; so two searches that
race for the threshold lose nothing but time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
FEWEST_MULTIPLIED = 4  # queries from which on a product beats as many scans


def search(index: Any, queries: Vectors, k: int, **more: Any) -> Any:
    """As index.search: scores and rows. Indexes that are not exact go their own way."""
    import faiss

    if not isinstance(index, faiss.IndexFlat):
        return index.search(queries, k, **more)
    with _fastest_way(len(queries), index.d):
        return index.search(queries, k, **more)


@contextmanager
def _fastest_way(queries: int, dimension: int) -> Iterator[None]:
    import faiss

    faiss.cvar.distance_compute_blas_threshold = FEWEST_MULTIPLIED * dimension
    threads = faiss.omp_get_max_threads()
    if queries < FEWEST_MULTIPLIED:
        faiss.omp_set_num_threads(min(queries, threads))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
