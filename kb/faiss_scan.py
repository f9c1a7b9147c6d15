"""FAISS over a run of consecutive rows, read where they lie: no index has to be built or kept.

FAISS has three methods. It scans for a few queries with a thread for each, as fast as memory can be
read. It answers many queries by one matrix product, several times faster per query. With fewer
queries than threads it divides the vectors and multiplies each part, which for one or two queries
is several times slower than a scan. The choice depends on the number of threads, a setting of the
calling thread, and on a threshold of queries x dimension, which the whole process shares and whose
default is five times too high for usual batches. All methods find the same neighbours, so two
searches that race for the threshold lose only time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kb.vector_file import Found, VectorFile, Vectors

FEWEST_MULTIPLIED = 4  # queries; from here on one product is faster than the scans


def load_faiss() -> Any:
    """The faiss module, untyped: its stubs know only the C++ signatures."""
    import faiss

    return faiss


def scanned(vectors: VectorFile, run: range, queries: Vectors, k: int) -> Found:
    """[queries, k] the nearest rows of the run, best first."""
    faiss, rows = load_faiss(), vectors.run(run)
    with _fastest_way(faiss, *queries.shape):
        scores, found = faiss.knn(queries, rows, k, metric=faiss.METRIC_INNER_PRODUCT)
    return scores, found + run.start


@contextmanager
def _fastest_way(faiss: Any, queries: int, dimension: int) -> Iterator[None]:
    """Makes FAISS use the faster of scan and product, and restores the thread count."""
    faiss.cvar.distance_compute_blas_threshold = FEWEST_MULTIPLIED * dimension
    threads = faiss.omp_get_max_threads()
    if queries < FEWEST_MULTIPLIED:
        faiss.omp_set_num_threads(min(queries, threads))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
