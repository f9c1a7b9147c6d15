"""A server in a process of its own, and clients that search it concurrently.

The clients speak HTTP over plain sockets to use little time, since they share the machine with the
server. Answers are read completely while the clock runs; a sample of them is checked afterwards.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import numpy as np

from eval.bench.search_base import Vectors
from hone.errors import Unreachable

ROOT = Path(__file__).parent.parent.parent
_SAMPLE = 512  # number of answers that are checked
_SAME = 1e-4  # scores closer than this are equal: sums may be rounded in another order


@dataclass(frozen=True)
class ServerProcess:
    url: str
    ready_s: float
    process: subprocess.Popen[str]

    def rss_mb(self) -> float:
        """The server's resident memory, including mapped files."""
        with urlopen(f"{self.url}/metrics", timeout=30) as answer:
            page = answer.read().decode()
        found = re.search(r"^process_resident_memory_bytes (\S+)$", page, re.MULTILINE)
        if found is None:
            raise Unreachable(f"{self.url}/metrics does not say how much memory is resident")
        return round(float(found[1]) / 2**20, 1)


@contextmanager
def running_server(folder: Path) -> Iterator[ServerProcess]:
    server = start_server(folder)
    try:
        yield server
    finally:
        stop_server(server)


def start_server(folder: Path, port: int = 0) -> ServerProcess:
    words = ("server/server.py", "--knowledge_base_path", str(folder.resolve()))
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words, "--port", str(port)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline().strip()  # printed when it answers
    if not line:
        process.communicate()
        raise Unreachable("the server did not start; its own message is above")
    return ServerProcess(line.rsplit(" ", 1)[1], round(time.perf_counter() - began, 2), process)


def stop_server(server: ServerProcess) -> None:
    server.process.terminate()
    server.process.communicate()


@dataclass
class Load:
    """The results of all clients during a time."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    # index of the query, body of the answer
    sample: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def qps(self) -> float:
        return round(len(self.latencies) / self.seconds, 1)

    def percentile(self, share: float) -> float:
        return round(1000 * float(np.percentile(self.latencies, share)), 2)

    def told(self) -> dict[str, float]:
        return {"qps": self.qps, "p50_ms": self.percentile(50), "p99_ms": self.percentile(99)}

    def wrong(self, expected: Vectors) -> int:
        """How many answers of the sample do not have the expected scores."""
        return sum(not _agrees(answer, expected[query]) for query, answer in self.sample)


@dataclass(frozen=True)
class Clients:
    """Clients that each send one query at a time, and the next as soon as it is answered."""

    url: str
    queries: Vectors
    k: int
    seconds: float

    def ask(self, method: str, count: int, seconds: float | None = None) -> Load:
        load = Load()
        asyncio.run(self._all(load, self._requests(method), count, seconds or self.seconds))
        if not load.latencies:
            raise Unreachable(f"{self.url} answered none of {load.errors} searches")
        return load

    def _requests(self, method: str) -> list[bytes]:
        dimension = self.queries.shape[1]
        head = (
            f"POST /v1/search?k={self.k}&method={method}&dimension={dimension} HTTP/1.1\r\n"
            f"host: localhost\r\ncontent-type: application/octet-stream\r\n"
            f"content-length: {4 * dimension}\r\n\r\n"
        )
        return [head.encode() + row.astype("<f4").tobytes() for row in self.queries]

    async def _all(self, load: Load, requests: list[bytes], count: int, seconds: float) -> None:
        began = time.perf_counter()
        clients = (
            self._one(load, requests, client, count, began + seconds) for client in range(count)
        )
        await asyncio.gather(*clients)
        load.seconds = time.perf_counter() - began

    async def _one(
        self, load: Load, requests: list[bytes], client: int, count: int, until: float
    ) -> None:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        query = client
        while (began := time.perf_counter()) < until:
            writer.write(requests[query])
            status, body = await _answer(reader)
            if status == b"200":
                load.latencies.append(time.perf_counter() - began)
                if len(load.sample) < _SAMPLE:
                    load.sample.append((query, body))
            else:
                load.errors += 1
            query = (query + count) % len(requests)
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    body = await reader.readexactly(int(found[1])) if found else b""
    return head.split(b" ", 2)[1], body


def _agrees(answer: bytes, expected: Vectors) -> bool:
    hits = json.loads(answer)["hits"][0]
    scores = np.array([hit["score"] for hit in hits])
    return scores.shape == expected.shape and bool(np.abs(scores - expected).max() < _SAME)
