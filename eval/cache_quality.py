"""Measures how well the adapter of one query serves another: losses of answers, one per pair.

Every query's adapter is trained once and stored, and every loss is written to a journal, so a run
that was killed resumes where it was, and any number of settings can be replayed from the results.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.adapters.guard import Guard
from client.text_answerer import TextAnswerer
from eval.cache_replay import Costs
from hone.files import short_hash
from hone.journal import Journal

if TYPE_CHECKING:
    from arc.formats import Encoded
    from arc.task import Task
    from client.adaptation import Adaptation, Adapted
    from client.adapter_store import Match
    from client.settings import Settings
    from eval.cache_stream import Asked
    from models.embedder import Vectors

_ALL = 1 << 40  # size of the store of a measurement: no limit in practice


@contextmanager
def open_quality(settings: Settings, stream: Sequence[Asked], out_dir: Path) -> Iterator[Quality]:
    from client.opening import open_adaptation
    from eval.cache_stream import kind_of

    keeping = dataclasses.replace(
        settings,
        local_adapter_managing=True,
        local_adapter_manager_dir=out_dir / "adapters",
        local_adapter_manager_size=_ALL,
        local_adapter_manager_mb=0,
        local_adapter_manager_threshold=1.0,
        local_adapter_manager_near_threshold=None,
        local_adapter_manager_guard=False,
    )
    with open_adaptation(keeping, kind_of(stream)) as adaptation:
        yield Quality(adaptation, stream, Journal(out_dir / "losses.jsonl"))


class Quality:
    def __init__(self, adaptation: Adaptation, stream: Sequence[Asked], journal: Journal) -> None:
        assert adaptation.embedder is not None and adaptation.store is not None
        self.adaptation, self.stream, self.journal = adaptation, stream, journal
        self.store = adaptation.store
        self.guard = Guard(adaptation.base, lambda: adaptation.layout.bounds)
        self.vectors: Vectors = adaptation.embedder.embed([asked.query for asked in stream])
        self.matches: dict[int, Match] = {}  # each query's own adapter in the store

    def train(self) -> Costs:
        """Trains the missing adapters; returns the costs that a replay needs. A query for which
        nothing could be trained costs nothing, and its adapter is never used."""
        from tqdm import tqdm

        with tqdm(total=len(self.stream), unit="query", desc="adapters", disable=None) as bar:
            for _ in self._adapted():
                bar.update()
        key = self.adaptation.key
        for i, vector in enumerate(self.vectors):
            if near := self.store.nearest(vector, key):
                self.matches[i] = near[0]
        sizes = {entry.id: entry.usage.size for entry in self.store.entries()}
        own = [self.matches.get(i) for i in range(len(self.stream))]
        return Costs(
            [0.0 if match is None else match.seconds for match in own],
            [0 if match is None else sizes[match.entry_id] for match in own],
        )

    def _adapted(self) -> Iterator[tuple[int, Adapted]]:
        queries: list[Any] = [asked.query for asked in self.stream]
        if isinstance(queries[0], str):
            return _TextStream(self.adaptation, max_new_tokens=1).adapted(queries)
        from client.arc_solver import ArcSolver

        return ArcSolver(self.adaptation).adapted(queries)

    def loss(self, i: int, j: int | None) -> float | None:
        """Loss of query i's answer with the adapter of query j, or of the base; None if no answer
        is known or there is no such adapter."""
        sample = self._sample(i)
        if sample is None or (j is not None and j not in self.matches):
            return None
        whose = "base" if j is None else self.matches[j].entry_id
        base = self.adaptation.base.fingerprint
        key = short_hash(base, whose, sample.ids.tolist(), sample.labels.tolist())
        line = self.journal.find(key)
        if line is None:
            adapter = None if j is None else self.store.read(self.matches[j])
            line = self.journal.add(key, {"loss": self.guard.loss(sample, adapter)})
        return float(line["loss"])

    def _sample(self, i: int) -> Encoded | None:
        """The query with its answer; for a task whose answer is not known, one of its own items."""
        asked, base = self.stream[i], self.adaptation.base
        if isinstance(asked.query, str):
            stream = _TextStream(self.adaptation, max_new_tokens=1)
            return None if asked.answer is None else stream.sample(asked.query, asked.answer)
        task: Task = asked.query
        if task.test and task.test[0].output is not None:
            encoded = base.format.example(task)
            return encoded if len(encoded) <= base.context else None
        from client.arc_items import own_sample

        return own_sample(task, base.format, base.context, self.adaptation.settings)


class _TextStream(TextAnswerer):
    def adapted(self, queries: Sequence[str]) -> Iterator[tuple[int, Adapted]]:
        return self.adaptation.adapt_each(queries, lambda _, hits: self._items(hits))

    def sample(self, query: str, answer: str) -> Encoded | None:
        encoded = self.format.example(query, answer)
        return encoded if len(encoded) <= self.base.context else None
