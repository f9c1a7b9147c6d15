"""What the service tells Prometheus: requests, phases, the queue, batches, what is served."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from kb.store import Manifest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_VECTORS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one app. Each app has its own registry, so a process may hold several apps."""

    def __init__(self) -> None:
        own = self.registry = CollectorRegistry()
        ProcessCollector(registry=own)
        self.requests = Counter(
            "hone_requests", "Requests answered", ["route", "status"], registry=own
        )
        self.seconds = Histogram(
            "hone_request_seconds",
            "Seconds from a request's head to the end of its answer",
            ["route"],
            registry=own,
            buckets=_SECONDS,
        )
        self.phases = Histogram(
            "hone_phase_seconds",
            "Seconds of each phase of a search: read, parse, embed, queue, search, answer",
            ["phase"],
            registry=own,
            buckets=_SECONDS,
        )
        self.batches = Histogram(
            "hone_batch_vectors", "Vectors searched together", registry=own, buckets=_VECTORS
        )
        self._waiting = Gauge("hone_queue_vectors", "Vectors waiting for a search", registry=own)
        self._most = Gauge("hone_queue_limit_vectors", "Most vectors that may wait", registry=own)
        self.records = Gauge(
            "hone_knowledge_base_records",
            "Records of each knowledge base in the version that is served",
            ["knowledge_base", "content_hash", "embedder"],
            registry=own,
        )
        self.reloads = Counter(
            "hone_reloads",
            "Rebuilt knowledge bases that were taken into use or refused",
            ["knowledge_base", "outcome"],
            registry=own,
        )

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.phases.labels(name).observe(time.perf_counter() - began)

    def watch_queue(self, waiting: Callable[[], int], most: int) -> None:
        self._waiting.set_function(waiting)
        self._most.set(most)

    def serves(self, name: str, manifest: Manifest) -> None:
        """Counts this version of the knowledge base, and no longer any other of its name."""
        self.records.remove_by_labels({"knowledge_base": name})
        version = self.records.labels(name, manifest.content_hash, manifest.embedder)
        version.set(manifest.records)

    def page(self) -> bytes:
        return generate_latest(self.registry)
