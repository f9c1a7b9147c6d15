"""FAISS over rows that stand together, read where they lie: no index to be built or kept.

It has three ways to do that. A few queries are scanned for, each by a thread of its own: as fast as
memory is read. Many are one product of matrices, several times as fast a query. With fewer queries
than threads it cuts the vectors up and multiplies each part: for one or two queries that is several
times as slow as a scan. Which way it takes hangs on the number of threads, which is the calling
thread's own, and on a threshold of queries x dimension, which is one for the process and five times
too high for usual batches. Whatever it takes, the neighbours are the same; so two searches that
race for the threshold lose nothing but time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kb.vector_file import Found, VectorFile, Vectors

FEWEST_MULTIPLIED = 4  # queries from which on a product beats as many scans


def load_faiss() -> Any:
    """FAISS; its stubs know only the C++ signatures."""
    import faiss

    return faiss


def scanned(vectors: VectorFile, run: range, queries: Vectors, k: int) -> Found:
    """The k nearest rows of the run."""
    faiss, rows = load_faiss(), vectors.run(run)
    with _fastest_way(faiss, *queries.shape):
        scores, found = faiss.knn(queries, rows, k, metric=faiss.METRIC_INNER_PRODUCT)
    return scores, found + run.start


@contextmanager
def _fastest_way(faiss: Any, queries: int, dimension: int) -> Iterator[None]:
    faiss.cvar.distance_compute_blas_threshold = FEWEST_MULTIPLIED * dimension
    threads = faiss.omp_get_max_threads()
    if queries < FEWEST_MULTIPLIED:
        faiss.omp_set_num_threads(min(queries, threads))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
