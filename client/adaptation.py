"""From queries to adapters: reuse one that is kept, or retrieve samples and train one.

    query -> vector -> AdapterStore -- hit --> its factors
                          +-- miss --> Retriever -> items -> TTT (K at once) -> kept for next time

The same way serves ARC tasks and text; what the training items are is the caller's to say.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from client.ttt import Item, Job, train_group
from hone.files import short_hash

if TYPE_CHECKING:
    from client.adapter_store import AdapterStore, Key
    from client.settings import Settings
    from kb.wire import Hit, Method, Retriever
    from models.base import Base
    from models.embedder import Embedder, Query, Vectors
    from models.multilora.peft_files import AdapterFiles

MakeItems = Callable[[int, "list[Hit]"], list[Item]]  # index of the query, what was retrieved
Progress = Callable[[str, int, int], None]  # phase, done, of
_SHAPES_AN_ADAPTER = (
    *("steps", "num_epochs", "batch_size", "learning_rate", "lora_rank", "lora_alpha", "seed"),
    *("target_modules", "num_ttt_samples", "only_faiss"),
    *("num_pseudo", "own_weight", "retrieved_weight", "every_output"),
)


@dataclass
class Adapted:
    """A query's adapter and how it came about."""

    adapter: AdapterFiles | None  # None: nothing to train on, or its training met a NaN
    trace: dict[str, Any] = field(default_factory=dict)


@dataclass
class Adaptation:
    base: Base
    embedder: Embedder
    settings: Settings
    retriever: Retriever | None = None
    store: AdapterStore | None = None
    progress: Progress = lambda phase, done, total: None
    shuffle: bool = True  # items anew each epoch; text keeps its order, nearest first

    def adapt(self, queries: Sequence[Query], make_items: MakeItems) -> list[Adapted]:
        """One adapter a query; at most K are trained at a time."""
        with timed() as embedding:
            vectors = self.embedder.embed(queries)
        adapted = [self._reuse(vectors, i) for i in range(len(queries))]
        for one in adapted:
            one.trace["seconds"] = {"embed": embedding.seconds / len(queries)}
        missing = [i for i, one in enumerate(adapted) if one.trace["decision"] != "hit"]
        for start in range(0, len(missing), self.settings.k):
            self._train(missing[start : start + self.settings.k], adapted, vectors, make_items)
        return adapted

    @property
    def key(self) -> Key:
        """What an adapter must have been trained with to serve here."""
        from client.adapter_store import Key

        knowledge = self.retriever.info().content_hash if self.retriever else None
        trained_with = {name: getattr(self.settings, name) for name in _SHAPES_AN_ADAPTER}
        return Key(
            embedder=self.embedder.fingerprint,
            base=self.base.fingerprint,
            configuration=short_hash(knowledge, trained_with),
        )

    def _reuse(self, vectors: Vectors, i: int) -> Adapted:
        found = self.store.find(vectors[i], self.key) if self.store else None
        if found is None:
            return Adapted(None, {"decision": "train"})
        trace = {"decision": "hit", "adapter": found.entry_id, "similarity": found.similarity}
        return Adapted(found.files, trace)

    def _train(
        self, group: list[int], adapted: list[Adapted], vectors: Vectors, make_items: MakeItems
    ) -> None:
        with timed() as retrieving:
            hits = self._retrieve(vectors[group])
        items = [make_items(i, found) for i, found in zip(group, hits, strict=True)]
        jobs = {i: self._job(own) for i, own in zip(group, items, strict=True) if own}
        for i, found in zip(group, hits, strict=True):
            adapted[i].trace |= {"retrieved": [_brief(hit) for hit in found]}
            adapted[i].trace["seconds"]["retrieve"] = retrieving.seconds / len(group)
            if i not in jobs:
                adapted[i].trace["decision"] = "nothing to train on"
        if jobs:
            self._train_jobs(jobs, adapted, vectors)

    def _train_jobs(self, jobs: dict[int, Job], adapted: list[Adapted], vectors: Vectors) -> None:
        with timed() as training:
            bank, runs = train_group(
                self.base.model,
                list(jobs.values()),
                self.settings.target_modules,
                lambda done, total, loss: self.progress(f"training, loss {loss:.3f}", done, total),
            )
        for (i, job), run in zip(jobs.items(), runs, strict=True):
            trace = adapted[i].trace
            trace |= {"slot": run.slot, "group": len(jobs), "losses": run.losses}
            trace |= {"items": len(job.items), "trained_tokens": run.tokens}
            trace["seconds"]["train"] = training.seconds / len(jobs)
            if run.quarantined_at is not None:
                trace |= {"decision": "quarantined", "quarantined_at": run.quarantined_at}
                continue
            adapted[i].adapter = self._keep(vectors[i], bank.export(run.slot), trace)

    def _retrieve(self, vectors: Vectors) -> list[list[Hit]]:
        if self.retriever is None or self.settings.num_ttt_samples == 0:
            return [[] for _ in vectors]
        method: Method | None = "faiss" if self.settings.only_faiss else None
        return self.retriever.search(vectors, self.settings.num_ttt_samples, method=method)

    def _job(self, items: list[Item]) -> Job:
        from models.multilora.bank import SlotSpec

        chosen = self.settings
        epochs = chosen.num_epochs * -(-len(items) // chosen.batch_size)
        spec = SlotSpec(
            rank=chosen.lora_rank,
            alpha=chosen.lora_alpha,
            learning_rate=chosen.learning_rate,
            seed=chosen.seed,
        )
        return Job(
            items, spec, chosen.steps or epochs, min(chosen.batch_size, len(items)), self.shuffle
        )

    def _keep(self, vector: Any, adapter: AdapterFiles, trace: dict[str, Any]) -> AdapterFiles:
        """The adapter with its story told; in the store, where there is one."""
        told = {
            "loss": trace["losses"][-1] if trace["losses"] else None,
            "seconds": round(trace["seconds"]["train"], 3),
            "seed": self.settings.seed,
        }
        adapter = dataclasses.replace(adapter, extra=told)
        if self.store is not None:
            path = self.base.path
            trace["adapter"] = self.store.put(vector, self.key, adapter, base_path=path)
        return adapter


class timed:
    """How long the block took, in seconds."""

    seconds = 0.0

    def __enter__(self) -> timed:
        self._begun = time.monotonic()
        return self

    def __exit__(self, *exc: object) -> None:
        self.seconds = time.monotonic() - self._begun


def _brief(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.id,
        "source": hit.source,
        "score": round(hit.score, 4),
        "multiplicity": hit.multiplicity,
    }
