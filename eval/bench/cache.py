"""Measures the adapter store: what a hit saves, and what finding, storing and evicting cost.

    python -m eval.bench cache
    python -m eval.bench cache --adapters 1000 --shape 6m --tasks 2 --texts data/gsm8k.jsonl

Hits with the guard on are compared with a full training on the same tasks, with the bundled base.
Neither side writes an answer, and the store is opened anew for the hits, so that adapters are read
from the disk. The search is timed among --adapters stored adapters, which are kept in --out_dir for
the next run; storing and reading is timed on an adapter of --shape. The eviction policies are
replayed on random streams, and on --texts in an order in which topics come and go. The last line
of output is one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run by path, this folder's files would shadow modules
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from client.settings import BUNDLED_BASE
from hone.errors import run_command
from hone.settings import option, read_settings


@dataclass(frozen=True)
class CacheBenchSettings:
    model_path: str = option(
        str(BUNDLED_BASE), "base to measure hits with; it must read grids", shown="models/arc-base"
    )
    tasks: int = option(4, "number of tasks to train on, and then to hit", low=1)
    adapters: int = option(10_000, "number of stored adapters to search", low=10)
    lookups: int = option(200, "number of searches to time", low=1)
    shape: str = option(
        "7b", "model whose adapter is stored and read", choices=("tiny", "6m", "25m", "7b")
    )
    rank: int = option(16, "rank of that adapter", low=1)
    times: int = option(3, "number of times that it is stored and read", low=1)
    texts: Path | None = option(
        None, "JSON lines file of questions, for a stream of real texts (default: none)"
    )
    queries: int = option(1000, "queries in each stream", low=10)
    size: int = option(16, "adapters that the store holds in the replayed streams", low=1)
    out_dir: Path = option(
        Path("runs/bench/cache"), "folder of the searched store, kept for the next run"
    )
    threads: int = option(0, "CPU threads; 0: all", low=0, high=1024)
    seed: int = option(0, "seed of tasks, vectors and streams", low=0)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        CacheBenchSettings, argv, env_prefix="HONE_BENCH_CACHE_", description=__doc__ or ""
    )
    print(json.dumps(measured(settings)))
    return 0


def measured(settings: CacheBenchSettings) -> dict[str, Any]:
    import torch

    from eval.bench.cache_hits import hit_beside_training
    from eval.bench.cache_store import lookup_ms, put_and_get_ms
    from eval.bench.cache_streams import hit_rates
    from eval.bench.machine import commit, device_name, open_device
    from hone.files import check_writable

    check_writable(settings.out_dir, "--out_dir")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    say(f"searching {settings.adapters} adapters")
    found = lookup_ms(settings.out_dir, settings.adapters, settings.lookups, settings.seed)
    say(f"storing and reading an adapter of rank {settings.rank} for {settings.shape}")
    moved = put_and_get_ms(settings.out_dir, settings.shape, settings.rank, settings.times)
    say("replaying streams with each eviction policy")
    rates = hit_rates(settings.texts, settings.queries, settings.size, settings.seed)
    say("timing hits and full trainings")
    hits = hit_beside_training(settings.model_path, settings.out_dir, settings.tasks, settings.seed)
    return {
        "bench": "cache",
        "hit_speedup": hits.speedup,
        "lookup_ms_10k" if settings.adapters == 10_000 else "lookup_ms": found,
        **moved,
        "hit_rate": rates,
        "hits": hits.told(),
        "adapters": settings.adapters,
        "shape": settings.shape,
        "rank": settings.rank,
        "device": device_name(open_device("cpu")),
        "commit": commit(),
    }


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_command(main)
