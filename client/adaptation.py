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
    from client.adapter_store import AdapterStore, Key, Vector
    from client.settings import Settings
    from kb.wire import Hit, Method, Retriever
    from models.base import Base
    from models.embedder import Embedder, Query, Vectors
    from models.multilora.peft_files import AdapterFiles

MakeItems = Callable[[int, "list[Hit]"], "Items"]  # index of the query, what was retrieved
Progress = Callable[[str, int, int], None]  # phase, done, of
_SHAPES_AN_ADAPTER = (
    *("steps", "num_epochs", "batch_size", "learning_rate", "lora_rank", "lora_alpha", "seed"),
    *("target_modules", "num_ttt_samples", "only_faiss"),
    *("num_pseudo", "own_weight", "retrieved_weight", "every_output"),
)


@dataclass
class Items:
    """What a query is trained on, and how much of what was made for it was left out."""

    items: list[Item]
    too_long: int = 0  # for the base's context: left out, never cut
    withheld: int = 0  # retrieved, but held an answer to the query itself


@dataclass
class Adapted:
    """A query's adapter and how it came about."""

    adapter: AdapterFiles | None  # None: nothing to train on, or its training met a NaN
    trace: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def as_it_is(cls) -> Adapted:
        """No adapter, and none was asked for."""
        return cls(None, {"decision": "base", "seconds": {}})


@dataclass(frozen=True)
class _Call:
    """Some queries on their way to adapters."""

    adapted: list[Adapted]
    vectors: Vectors
    make_items: MakeItems
    key: Key | None


@dataclass
class Adaptation:
    base: Base
    settings: Settings
    embedder: Embedder | None = None  # None: answers come from the base as it is
    retriever: Retriever | None = None
    store: AdapterStore | None = None
    progress: Progress = lambda phase, done, total: None
    shuffle: bool = True  # items anew each epoch; text keeps its order, nearest first

    def __enter__(self) -> Adaptation:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.retriever is not None:
            self.retriever.close()

    def adapt(self, queries: Sequence[Query], make_items: MakeItems) -> list[Adapted]:
        """One adapter a query; at most K are trained at a time."""
        assert self.embedder is not None, "opened to answer without training"
        with timed() as embedding:
            vectors = self.embedder.embed(queries)
        key = self.key if self.store else None
        adapted = [self._reuse(vector, key) for vector in vectors]
        for one in adapted:
            one.trace["seconds"] = {"embed": embedding.seconds / len(queries)}
        call = _Call(adapted, vectors, make_items, key)
        missing = [i for i, one in enumerate(adapted) if one.trace["decision"] != "hit"]
        for start in range(0, len(missing), self.settings.k):
            self._train(call, missing[start : start + self.settings.k])
        return adapted

    @property
    def key(self) -> Key:
        """What an adapter must have been trained with to serve here; asks the retriever."""
        from client.adapter_store import Key

        assert self.embedder is not None
        knowledge = self.retriever.info().content_hash if self.retriever else None
        trained_with = {name: getattr(self.settings, name) for name in _SHAPES_AN_ADAPTER}
        return Key(
            embedder=self.embedder.fingerprint,
            base=self.base.fingerprint,
            configuration=short_hash(knowledge, trained_with, self.base.context),
        )

    def _reuse(self, vector: Vector, key: Key | None) -> Adapted:
        found = self.store.find(vector, key) if self.store and key else None
        if found is None:
            return Adapted(None, {"decision": "train"})
        trace = {"decision": "hit", "adapter": found.entry_id, "similarity": found.similarity}
        return Adapted(found.files, trace)

    def _train(self, call: _Call, group: list[int]) -> None:
        with timed() as retrieving:
            hits = self._retrieve(call.vectors[group])
        jobs = {}
        for i, found in zip(group, hits, strict=True):
            made = call.make_items(i, found)
            trace = call.adapted[i].trace
            trace |= {"retrieved": [_brief(hit) for hit in found]}
            trace |= {"items": len(made.items), "items_too_long": made.too_long}
            trace |= {"items_withheld": made.withheld}
            trace["seconds"]["retrieve"] = retrieving.seconds / len(group)
            if made.items:
                jobs[i] = self._job(made.items)
            else:
                trace["decision"] = "nothing to train on"
        if jobs:
            self._train_jobs(call, jobs)

    def _train_jobs(self, call: _Call, jobs: dict[int, Job]) -> None:
        with timed() as training:
            bank, runs = train_group(
                self.base.model,
                list(jobs.values()),
                self.settings.target_modules,
                lambda done, total, loss: self.progress(f"training, loss {loss:.3f}", done, total),
            )
        for (i, job), run in zip(jobs.items(), runs, strict=True):
            trace = call.adapted[i].trace
            trace |= {"slot": run.slot, "group": len(jobs), "losses": run.losses}
            trace |= {"trained_tokens": run.tokens}
            trace["seconds"]["train"] = training.seconds / len(jobs)
            adapter = bank.export(run.slot)
            stopped = run.quarantined_at
            if stopped is None and not _is_finite(adapter):  # by its very last step
                stopped = job.steps
            if stopped is not None:
                trace |= {"decision": "quarantined", "quarantined_at": stopped}
                continue
            call.adapted[i].adapter = self._keep(call, i, adapter)

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

    def _keep(self, call: _Call, i: int, adapter: AdapterFiles) -> AdapterFiles:
        """The adapter with its story told; in the store, where there is one."""
        trace = call.adapted[i].trace
        told = {
            "loss": trace["losses"][-1] if trace["losses"] else None,
            "seconds": round(trace["seconds"]["train"], 3),
            "seed": self.settings.seed,
        }
        adapter = dataclasses.replace(adapter, extra=told)
        if self.store is not None and call.key is not None:
            trace["adapter"] = self.store.put(
                call.vectors[i], call.key, adapter, base_path=self.base.path
            )
        return adapter


def _is_finite(adapter: AdapterFiles) -> bool:
    return all(bool(part.isfinite().all()) for pair in adapter.tensors.values() for part in pair)


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
