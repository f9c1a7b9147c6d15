"""Measures plain FAISS on a knowledge base's vectors, with each of several settings."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from eval.bench.search_base import Vectors
from kb.faiss_scan import load_faiss
from kb.manifest import VECTORS

BATCH_SIZES = (1, 16, 64, 256, 1024)


@dataclass(frozen=True)
class Raw:
    qps: float
    how: dict[str, Any]  # the best batch size, threads and BLAS setting, and the rates of all
    scores: Vectors  # [queries, k] scores of the answers


def best_of_raw(folder: Path, queries: Vectors, k: int, seconds: float) -> Raw:
    """The best rate of an exact index in memory; `seconds` are divided among the settings."""
    index = _index(folder)
    settings = list(product(BATCH_SIZES, sorted({1, os.cpu_count() or 1}), ("default", "always")))
    share = seconds / len(settings)
    rates = {one: _rate(index, queries, k, share, *one) for one in settings}
    batch_size, threads, blas = best = max(rates, key=lambda one: rates[one])
    with _settings(threads, blas):
        scores, _ = index.search(queries, k)
    spelled = {f"batch {b}, {t} threads, BLAS {w}": rate for (b, t, w), rate in rates.items()}
    how = {"batch_size": batch_size, "threads": threads, "blas": blas, "all": spelled}
    return Raw(rates[best], how, scores)


def _index(folder: Path) -> Any:
    import numpy as np

    vectors = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
    index = load_faiss().IndexFlatIP(vectors.shape[1])
    for start in range(0, len(vectors), 65536):
        index.add(np.ascontiguousarray(vectors[start : start + 65536]))
    return index


def _rate(
    index: Any, queries: Vectors, k: int, seconds: float, batch_size: int, threads: int, blas: str
) -> float:
    """Queries per second, over whole batches."""
    with _settings(threads, blas):
        index.search(queries[:batch_size], k)
        done, began = 0, time.perf_counter()
        while (taken := time.perf_counter() - began) < seconds or not done:
            start = done % (len(queries) - batch_size + 1)
            index.search(queries[start : start + batch_size], k)
            done += batch_size
            taken = time.perf_counter() - began
    return round(done / taken, 1)


@contextmanager
def _settings(threads: int, blas: str) -> Iterator[None]:
    faiss = load_faiss()
    before = faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold
    faiss.omp_set_num_threads(threads)
    if blas == "always":
        faiss.cvar.distance_compute_blas_threshold = 1
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before[0])
        faiss.cvar.distance_compute_blas_threshold = before[1]
