"""Measures the server under load, beside plain FAISS on the same vectors in the same run.

    python -m eval.bench search
    python -m eval.bench search --n 20000 --seconds 2 --peer none

Vectors are random, in clusters, and are kept in --out_dir for the next run. FAISS is measured with
its best batch size, threads and BLAS setting. The server is then searched over HTTP by as many
clients as --concurrency says, each of which sends its next query when one is answered; clients and
server share the machine. SIFT is measured beside plain search, with one client and under load.
Answers are compared with those of FAISS. The last line is one JSON object, about the highest
concurrency.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # run by path, this folder's files would shadow modules
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from hone.errors import run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from eval.bench.load import Clients, Load
    from eval.bench.search_base import Vectors

QUERIES = 1024  # number of different queries, so that no cache answers


@dataclass(frozen=True)
class SearchBenchSettings:
    n: int = option(1_000_000, "number of vectors", low=2000)
    dimension: int = option(384, "numbers per vector", low=1)
    k: int = option(32, "records per query", low=1, high=1000)
    concurrency: tuple[int, ...] = option(
        (1, 8, 64), "numbers of clients that search at once", low=1
    )
    seconds: float = option(20.0, "seconds that each way is measured for", above=0)
    peer: str = option(
        "milvus",
        "another store to measure on the same vectors: milvus-lite in a file, if installed",
        choices=("milvus", "none"),
    )
    out_dir: Path = option(
        Path("runs/bench/search"), "folder of the knowledge base, kept for the next run"
    )
    seed: int = option(0, "seed of vectors and queries", low=0)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        SearchBenchSettings, argv, env_prefix="HONE_BENCH_SEARCH_", description=__doc__ or ""
    )
    print(json.dumps(compared(settings)))
    return 0


def compared(settings: SearchBenchSettings) -> dict[str, Any]:
    from eval.bench.load import Clients, running_server
    from eval.bench.machine import commit, device_name, open_device
    from eval.bench.raw_faiss import best_of_raw
    from eval.bench.search_base import drawn_vectors, made_base
    from eval.bench.search_peer import peer_rate
    from hone.files import check_writable

    check_writable(settings.out_dir, "--out_dir")
    folder = made_base(settings.out_dir, settings.n, settings.dimension, settings.seed)
    queries = drawn_vectors(settings.seed + 1, 0, QUERIES, settings.dimension)
    say("measuring FAISS alone, with several settings")
    raw = best_of_raw(folder, queries, settings.k, settings.seconds)
    with running_server(folder) as server:
        clients = Clients(server.url, queries, settings.k, settings.seconds)
        told = _under_load(settings, clients, raw.scores)
        rss_mb = server.rss_mb()
    say("measuring the other store")
    peer = peer_rate(settings.peer, folder, queries, settings.k, settings.seconds)
    return {
        "bench": "search",
        "n": settings.n,
        "raw_faiss_qps": raw.qps,
        "server_qps": told["server_qps"],
        "ratio": round(told["server_qps"] / raw.qps, 3),
        **told,
        "rss_mb": rss_mb,
        "ready_s": server.ready_s,
        "raw_faiss": raw.how,
        "peer": peer,
        "dimension": settings.dimension,
        "k": settings.k,
        "device": device_name(open_device("cpu")),
        "commit": commit(),
    }


def _under_load(
    settings: SearchBenchSettings, clients: Clients, expected: Vectors
) -> dict[str, Any]:
    """Measures plain search at each concurrency, and SIFT with one client and at the highest."""
    say("warming up the server")
    clients.ask("faiss", max(settings.concurrency), seconds=settings.seconds)
    levels: dict[int, Load] = {}
    for count in settings.concurrency:
        say(f"nearest neighbours, clients: {count}")
        levels[count] = clients.ask("faiss", count)
    most = max(settings.concurrency)
    say(f"SIFT, clients: 1 and {most}")
    alone = levels.get(1) or clients.ask("faiss", 1)
    sift_alone, sift_most = clients.ask("sift", 1), clients.ask("sift", most)
    every = [*levels.values(), sift_alone, sift_most]
    return {
        "server_qps": levels[most].qps,
        "p50_ms": levels[most].percentile(50),
        "p99_ms": levels[most].percentile(99),
        "sift_over_nn": round(sift_alone.percentile(50) / alone.percentile(50), 3),
        "sift_batch_over_nn": round(levels[most].qps / sift_most.qps, 3),
        "errors": sum(load.errors for load in every),
        "wrong": sum(load.wrong(expected) for load in levels.values()),
        "by_concurrency": {str(count): load.told() for count, load in levels.items()},
    }


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_command(main)
