"""Exact search: the largest inner products over rows that stand together, read where they lie.

There is no index to be built or kept: FAISS multiplies the mapped vectors themselves. It has three
ways to do that. A few queries are scanned for, each by a thread of its own: as fast as memory is
read. Many are one product of matrices, several times as fast a query. With fewer queries than
threads it cuts the vectors up and multiplies each part: for one or two queries that is several
times as slow as a scan. Which way it takes hangs on the number of threads, which is the calling
thread's own, and on a threshold of queries x dimension, which is one for the process and five times
too high for usual batches. Whatever it takes, the neighbours are the same; so two searches that
race for the threshold lose nothing but time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from kb.vector_file import Rows, Scores, VectorFile, Vectors

Found = tuple[Scores, Rows]  # [queries, k] each, best first
FEWEST_MULTIPLIED = 4  # queries from which on a product beats as many scans


def nearest_in(vectors: VectorFile, runs: Sequence[range], queries: Vectors, k: int) -> Found:
    """Among the rows of these runs; where there are fewer than k, the rest of the rows is -1."""
    return best_of([_nearest(vectors, run, queries, min(k, len(run))) for run in runs], k)


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


def load_faiss() -> Any:
    """FAISS; its stubs know only the C++ signatures."""
    import faiss

    return faiss


def _nearest(vectors: VectorFile, run: range, queries: Vectors, k: int) -> Found:
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
