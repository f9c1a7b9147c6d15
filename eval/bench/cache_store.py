"""Measures the adapter store: finding an adapter among many, and storing and reading one."""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import torch

from client.adapter_store import AdapterStore
from client.adapters.entry import OWN, Key, Vector, new_entry
from eval.bench.shapes import SHAPES, Shape
from models.multilora.peft_files import EXTRA, AdapterFiles

DIMENSION = 384  # dimension of the packaged text embedder
Vectors = npt.NDArray[np.float32]
KEY = Key("bench", "bench", "bench")


def lookup_ms(out_dir: Path, adapters: int, lookups: int, seed: int) -> float:
    """Median milliseconds of `lookups` searches for the nearest adapter, for different queries."""
    vectors = np.random.default_rng(seed).normal(size=(adapters, DIMENSION)).astype(np.float32)
    store = _filled(out_dir / f"store-{adapters}-{seed}", vectors)
    asked = np.random.default_rng(seed + 1)

    def one(i: int) -> None:
        beside: Vector = asked.normal(size=DIMENSION).astype(np.float32)
        assert store.nearest(vectors[i % adapters] + 0.1 * beside, KEY)

    one(0)  # the first search reads the vectors
    return round(1e3 * statistics.median(_seconds(partial(one, i)) for i in range(lookups)), 3)


def _filled(folder: Path, vectors: Vectors) -> AdapterStore:
    """A store with these vectors. Only the first adapter is stored by `put`; the others are copies
    of its folder, so that the disk is not flushed ten thousand times. A store indexes such folders
    when it is opened."""
    adapter = drawn_adapter(SHAPES["tiny"], 1)
    store = AdapterStore(folder, size=len(vectors), threshold=0.4)
    first = store.put(vectors[0], KEY, adapter, base_path="bench")
    known = {entry.id for entry in store.entries()}
    for vector in vectors[1:]:
        entry = new_entry(vector, KEY, seconds=1.0)
        if entry.id not in known:
            copy = folder / "entries" / entry.id
            shutil.copytree(folder / "entries" / str(first), copy)
            (copy / EXTRA).write_text(json.dumps({OWN: entry.told()}))
    return AdapterStore(folder, size=len(vectors), threshold=0.4)


def put_and_get_ms(out_dir: Path, shape: str, rank: int, times: int) -> dict[str, float]:
    """Median milliseconds of storing and of finding an adapter, `times` each, with files in the
    page cache."""
    adapter = drawn_adapter(SHAPES[shape], rank)
    vector = np.eye(DIMENSION, dtype=np.float32)[0]
    folder = out_dir / f"moved-{uuid4().hex[:8]}"
    try:
        store = AdapterStore(folder, size=1, threshold=1.0)

        def put() -> None:
            store.put(vector, KEY, adapter, base_path="bench")

        def get() -> None:
            assert store.find(vector, KEY) is not None

        puts, gets = ([_seconds(one) for _ in range(times)] for one in (put, get))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "put_ms": round(1e3 * statistics.median(puts), 3),
        "get_ms": round(1e3 * statistics.median(gets), 3),
    }


def drawn_adapter(shape: Shape, rank: int) -> AdapterFiles:
    """A random adapter for all linear layers inside the decoder layers."""
    draw = torch.Generator().manual_seed(0)
    tensors = {
        f"model.layers.{i}.{name}": (
            torch.randn(rank, inside, generator=draw),
            torch.randn(outside, rank, generator=draw),
        )
        for i in range(shape.layers)
        for name, (inside, outside) in _linears(shape).items()
    }
    targets = sorted({name.rpartition(".")[2] for name in tensors})
    return AdapterFiles(tensors, rank, 16.0, targets, extra={"seconds": 1.0})


def _linears(shape: Shape) -> dict[str, tuple[int, int]]:
    width, middle = shape.width, shape.middle
    keys = width // shape.heads * (shape.key_heads or shape.heads)
    return {
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (width, keys),
        "self_attn.v_proj": (width, keys),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (width, middle),
        "mlp.up_proj": (width, middle),
        "mlp.down_proj": (middle, width),
    }


def _seconds(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
