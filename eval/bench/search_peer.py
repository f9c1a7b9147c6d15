"""Measures another store on the same vectors: milvus-lite's exact index, in this process."""

from __future__ import annotations

import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from eval.bench.search_base import Vectors
from kb.manifest import VECTORS

BATCH_SIZES = (1, 64)
_NAME = "bench"
_AT_ONCE = 5000  # rows that are inserted together


def peer_rate(
    peer: str, folder: Path, queries: Vectors, k: int, seconds: float
) -> dict[str, Any] | None:
    """Its queries per second at the best batch size; None without a peer."""
    if peer == "none" or not (find_spec("pymilvus") and find_spec("milvus_lite")):
        return None
    from pymilvus import MilvusClient

    vectors = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
    with TemporaryDirectory() as place, closing(MilvusClient(f"{place}/peer.db")) as client:
        began = time.perf_counter()
        _fill(client, vectors)
        filled = time.perf_counter() - began
        share = seconds / len(BATCH_SIZES)
        rates = {n: _rate(client, queries[:n].tolist(), k, share) for n in BATCH_SIZES}
    best = max(rates, key=lambda n: rates[n])
    told = {"name": "milvus-lite", "qps": rates[best], "batch_size": best}
    return {**told, "filled_s": round(filled, 1)}


def _fill(client: Any, vectors: Vectors) -> None:
    client.create_collection(_NAME, dimension=vectors.shape[1], metric_type="IP")
    for start in range(0, len(vectors), _AT_ONCE):
        block = vectors[start : start + _AT_ONCE].tolist()
        client.insert(_NAME, [{"id": start + i, "vector": row} for i, row in enumerate(block)])


def _rate(client: Any, batch: list[list[float]], k: int, seconds: float) -> float:
    client.search(_NAME, data=batch, limit=k)
    done, began = 0, time.perf_counter()
    while (taken := time.perf_counter() - began) < seconds or not done:
        client.search(_NAME, data=batch, limit=k)
        done += len(batch)
        taken = time.perf_counter() - began
    return round(done / taken, 1)
