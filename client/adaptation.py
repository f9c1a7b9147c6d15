"""Finds an adapter for each query: reuses one from the store, or retrieves samples and trains one.

    query -> vector -> AdapterStore -- hit, or several merged --> an adapter that answers at once
                          +-- miss --> Retriever -> items -> training in K slots -> AdapterStore
                                              (a warm start begins from a stored adapter)

ARC tasks and text queries are adapted in the same way; the caller says what the training items are.
While some queries train, the items of the next are prepared and trained adapters are stored.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from math import ceil
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from client.adapters.entry import Key
from client.adapters.guard import Guard, sample_as_json
from client.adapters.reuse import Reuse
from client.background import BackgroundWriter, made_ahead
from client.jobs import Item, Job, job_of
from client.layout import Layout, groups
from client.leaving import Limits
from client.queue_order import by_family, by_length, by_palette
from client.reduction import reduced
from client.told import told_hit, told_query, told_training
from client.training_queue import Done, Standing, TrainingQueue
from hone.files import short_hash

if TYPE_CHECKING:
    from arc.formats import Encoded
    from client.adapter_store import AdapterStore
    from client.cohort import SharedAdapter
    from client.settings import Settings
    from kb.wire import Hit, Method, Retriever
    from models.base import Base
    from models.embedder import Embedder, Query, Vectors
    from models.multilora.bank import AdapterBank
    from models.multilora.peft_files import AdapterFiles

MakeItems = Callable[[int, "list[Hit]"], "Items"]  # (index of the query, its hits) -> items
OwnSample = Callable[[int], "Encoded | None"]  # an example that the query itself contains, by index
Progress = Callable[[str, int, int], None]  # phase, steps done, steps in all
_SHAPES_AN_ADAPTER = (
    *("steps", "num_epochs", "batch_size", "learning_rate", "lora_rank", "lora_alpha", "seed"),
    *("use_rslora", "lora_dropout", "schedule", "warmup", "weight_decay", "clip_norm"),
    *("max_training_time", "plateau_patience", "plateau_delta", "stop_when_solved"),
    *("target_modules", "adapter_layers", "num_ttt_samples", "only_faiss", "sift_stop"),
    *("data_reduction", "data_reduction_rule", "shuffle_ttt_samples", "weighted_sample_training"),
    *("sift_noise", "num_pseudo", "retrieved_weight", "loss_on"),
    *("augmentations", "permuted_share", "leave_out", "direct_pairs"),
)


@dataclass
class Items:
    """The training items of a query, and which items and hits were left out."""

    items: list[Item]
    too_long: int = 0  # items longer than the base's context; they are never cut
    withheld: frozenset[int] = frozenset()  # ids of hits that show the query's own answer


@dataclass
class Adapted:
    """A query's adapter, and a trace of how it was found or trained."""

    # None if there was nothing to train on or the training met a NaN, and there is no shared
    # adapter
    adapter: AdapterFiles | None
    trace: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def as_it_is(cls) -> Adapted:
        """The result for a query that the base answers without adaptation."""
        return cls(None, {"decision": "base", "seconds": {}})


@dataclass(frozen=True)
class _Call:
    """The state of one call of `adapt_each` or `plan`. Dictionaries go by the query's index."""

    queries: Sequence[Query]
    adapted: dict[int, Adapted]  # until they are yielded
    vectors: Vectors
    make_items: MakeItems
    key: Key | None
    own_sample: OwnSample = lambda i: None
    # adapters that warm starts begin from
    starts: dict[int, AdapterFiles] = field(default_factory=dict)
    firsts: dict[int, Item] = field(default_factory=dict)  # the first training item of each query


@dataclass
class Adaptation:
    base: Base
    settings: Settings
    embedder: Embedder | None = None  # None: the base answers without adaptation
    retriever: Retriever | None = None
    store: AdapterStore | None = None
    progress: Progress = lambda phase, done, total: None
    shared: SharedAdapter | None = None  # applied below every query's adapter
    # names an unusual text format of samples; adapters of one format are not reused for another
    spelling: str = ""

    def __post_init__(self) -> None:
        self.layout = Layout(self.base, self.settings)
        self.stand_on(self.shared)
        self.reuse = None if self.store is None else Reuse(self.store, self.settings)
        self._has_room = True

    def stand_on(self, shared: SharedAdapter | None) -> None:
        """Trains adapters from now on on top of this shared adapter; None: on the base."""
        self.shared = shared
        self.layout.under = shared.files if shared else None

    @property
    def stands_on(self) -> str | None:
        return self.shared.fingerprint if self.shared else None

    @property
    def k(self) -> int:
        """How many queries are trained together, and answered together."""
        return self.layout.k

    def __enter__(self) -> Adaptation:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.retriever is not None:
            self.retriever.close()

    def adapt(self, queries: Sequence[Query], make_items: MakeItems) -> list[Adapted]:
        """One adapter for each query, in the order of the queries."""
        adapted = dict(self.adapt_each(queries, make_items))
        return [adapted[i] for i in range(len(queries))]

    def adapt_each(
        self,
        queries: Sequence[Query],
        make_items: MakeItems,
        own_sample: OwnSample = lambda i: None,
    ) -> Iterator[tuple[int, Adapted]]:
        """Yields each query's index and adapter as soon as it is ready; K are trained at a time.
        Which queries reuse an adapter is decided before the first is trained. With a guard,
        `own_sample` gives the example on which a query's candidate adapter is tested."""
        assert self.embedder is not None, "opened to answer without training"
        with timed() as embedding:
            vectors = self.embedder.embed(queries)
        key = self.key if self.store else None
        call = _Call(queries, {}, vectors, make_items, key, own_sample)
        answered = [i for i in range(len(queries)) if self._reused(call, i)]
        for one in call.adapted.values():
            one.trace["seconds"] |= {"embed": embedding.seconds / len(queries)}
            if self.shared is not None:
                one.trace["stands_on"] = self.stands_on
                one.trace["seconds"]["shared"] = self.shared.seconds_a_task
        yield from ((i, call.adapted.pop(i)) for i in answered)
        if call.adapted:
            yield from self._train(call)

    def plan(
        self, queries: Sequence[Query], make_items: MakeItems
    ) -> list[tuple[Adapted, Job | None]]:
        """For each query, a trace of what was retrieved, and the training job (None if there is
        nothing to train on). Nothing is trained, and no stored adapter is reused."""
        assert self.embedder is not None, "opened to answer without training"
        adapted = {i: Adapted(None, {"seconds": {}}) for i in range(len(queries))}
        call = _Call(queries, adapted, self.embedder.embed(queries), make_items, None)
        return [(adapted[i], job) for i, job in self._made_in_turn(call, list(adapted))]

    @property
    def key(self) -> Key:
        """The key that a stored adapter must have to be reused here. Asks the retriever for the
        knowledge base's hash."""
        assert self.embedder is not None
        knowledge = self.retriever.info().content_hash if self.retriever else None
        trained_with = {name: getattr(self.settings, name) for name in _SHAPES_AN_ADAPTER}
        return Key(
            embedder=self.embedder.fingerprint,
            base=self.base.fingerprint,
            configuration=short_hash(
                *(knowledge, trained_with, self.base.context, self.stands_on, self.spelling)
            ),
        )

    def _reused(self, call: _Call, i: int) -> bool:
        """Whether a stored adapter answers query `i`. If training should begin from one, notes it
        in `call.starts`."""
        # without an adapter of its own, a query is answered with the shared one
        below = self.shared.files if self.shared else None
        call.adapted[i] = adapted = Adapted(below, {"decision": "train", "seconds": {}})
        if self.reuse is None or call.key is None:
            return False
        with timed() as deciding:
            sample = partial(call.own_sample, i)
            offer = self.reuse.offer(call.vectors[i], call.key, self._guard, sample)
        adapted.trace |= {"decision": offer.decision, **offer.trace}
        adapted.trace["seconds"]["reuse"] = deciding.seconds
        if offer.start is not None:
            call.starts[i] = offer.start
        adapted.adapter = offer.adapter or adapted.adapter
        return offer.adapter is not None

    @property
    def _guard(self) -> Guard | None:
        if not self.settings.local_adapter_manager_guard:
            return None
        below = self.shared.files if self.shared else None
        return Guard(self.base, lambda: self.layout.bounds, below)

    def _train(self, call: _Call) -> Iterator[tuple[int, Adapted]]:
        """Trains the queries that are left, in the order that the settings ask for, and yields each
        when its adapter is trained and stored."""
        missing = list(call.adapted)
        ahead = min(self.k, len(missing))
        with self.layout, closing(made_ahead(self._made(call, missing), ahead)) as made:
            first = _until_a_job(made, ahead)
            if jobs := [job for _, job in first if job is not None]:
                bank = self.layout.bank(jobs, len(missing))
                yield from self._through_queue(call, bank, chain(first, made))
        yield from ((i, call.adapted.pop(i)) for i in list(call.adapted))

    def _through_queue(
        self, call: _Call, bank: AdapterBank, made: Iterator[tuple[int, Job | None]]
    ) -> Iterator[tuple[int, Adapted]]:
        """Yields the queries that have training items; the caller yields the others."""
        entered: list[int] = []  # the queries of the queue's jobs
        untrained: list[int] = []

        def jobs() -> Iterator[Job]:
            for i, job in made:
                (untrained if job is None else entered).append(i)
                if job is not None:
                    self.layout.enter(bank, job)
                    yield job

        on_step = self._telling(len(call.adapted), untrained)
        queue = TrainingQueue(bank, jobs(), self._limits.rule, on_step)
        run = {"run": uuid4().hex[:8], "slots": len(bank.specs), "width": bank.width}
        with BackgroundWriter[int](most=len(bank.specs)) as writer:
            for done in queue:
                i = entered[done.training.job]
                trace = call.adapted[i].trace
                trace |= told_training(done.training, run) | {"layout": self.layout.of(bank)}
                trace["seconds"]["train"] = done.training.share_seconds
                writer.submit(partial(self._keep, call, i, done))
                # with no training left to overlap with, wait for all writes
                ready = writer.finished(all_of_it=queue.is_empty)
                yield from ((i, call.adapted.pop(i)) for i in ready)
            yield from ((i, call.adapted.pop(i)) for i in writer.finished(all_of_it=True))

    @property
    def _limits(self) -> Limits:
        chosen = self.settings
        return Limits(
            seconds=chosen.max_training_time,
            plateau_patience=chosen.plateau_patience,
            plateau_delta=chosen.plateau_delta,
            solved=chosen.stop_when_solved,
        )

    def _telling(self, missing: int, untrained: list[int]) -> Callable[[Standing], None]:
        """A callback that reports progress in steps. Queries that have not entered yet are assumed
        to take as many steps as those that have, on average."""

        def on_step(standing: Standing) -> None:
            expected = standing.steps * (missing - len(untrained)) // standing.entered
            self.progress(f"training, loss {standing.loss:.3f}", standing.steps_done, expected)

        return on_step

    def _made(self, call: _Call, missing: list[int]) -> Iterator[tuple[int, Job | None]]:
        """The queries' jobs in the queue's order; None where there is nothing to train on."""
        order = self.settings.queue_order
        if order == "palette":
            missing = [missing[i] for i in by_palette([call.queries[i] for i in missing])]
        elif order == "family":
            missing = [missing[i] for i in by_family(call.vectors[missing])]
        made = self._made_in_turn(call, missing)
        return by_length(made) if order == "length" else made

    def _made_in_turn(self, call: _Call, order: list[int]) -> Iterator[tuple[int, Job | None]]:
        for group in groups(order, lambda: self.k):
            with timed() as retrieving:
                hits = self._retrieve(call.vectors[group])
            for i, found in zip(group, hits, strict=True):
                kept = self._reduced(found)
                made = call.make_items(i, kept)
                trace = call.adapted[i].trace
                trace |= {"retrieved": [told_hit(hit, hit.id in made.withheld) for hit in kept]}
                trace |= {"reduced": len(found) - len(kept)}
                trace |= {"items": len(made.items), "items_too_long": made.too_long}
                trace |= {"items_withheld": len(made.withheld)}
                trace["seconds"]["retrieve"] = retrieving.seconds / len(group)
                if not made.items:
                    trace["decision"] = "nothing to train on"
                yield i, self._started(call, i, self._job(made.items)) if made.items else None

    def _started(self, call: _Call, i: int, job: Job) -> Job:
        """The job, or for a warm start, a job that begins from the stored adapter and takes a share
        of the steps."""
        call.firsts[i] = job.items[0]
        if (start := call.starts.pop(i, None)) is None:
            return job
        share = self.settings.local_adapter_manager_warm_share
        return dataclasses.replace(job, start=start, steps=ceil(share * job.steps))

    def _retrieve(self, vectors: Vectors) -> list[list[Hit]]:
        if self.retriever is None or self.settings.num_ttt_samples == 0:
            return [[] for _ in vectors]
        method: Method | None = "faiss" if self.settings.only_faiss else None
        return self.retriever.search(
            vectors,
            self.settings.num_ttt_samples,
            method=method,
            stop=self.settings.sift_stop,
            noise=self.settings.sift_noise,
        )

    def _reduced(self, hits: list[Hit]) -> list[Hit]:
        if not self.settings.data_reduction:
            return hits
        return reduced(hits, self.settings.data_reduction_rule)

    def _job(self, items: list[Item]) -> Job:
        return job_of(items, self.settings)

    def _keep(self, call: _Call, i: int, done: Done) -> int:
        """Adds the story of its training to the adapter, and stores it if there is a store."""
        if done.adapter is None:
            return i
        training = done.training
        told = {
            "loss": training.losses[-1] if training.losses else None,
            "seconds": round(training.share_seconds, 3),
            "seed": self.settings.seed,
            "stands_on": self.stands_on,
            "query": told_query(call.queries[i]),
        }
        call.adapted[i].adapter = dataclasses.replace(done.adapter, extra=told)
        if self.store is not None and call.key is not None and self._has_room:
            self._store(self.store, call.key, call, i)
        return i

    def _store(self, store: AdapterStore, key: Key, call: _Call, i: int) -> None:
        """Stores query `i`'s adapter. If the disk is full, the answer is not affected; later
        queries have to train again."""
        adapter = call.adapted[i].adapter
        assert adapter is not None
        sample, base = sample_as_json(call.firsts.pop(i).encoded), self.base.path
        try:
            entry = store.put(call.vectors[i], key, adapter, base_path=base, sample=sample)
        except OSError as error:
            self._has_room = False
            said = f"{store.folder}: {error.strerror or error}"
            print(f"note: adapters are not kept for later queries ({said})", file=sys.stderr)
        else:
            call.adapted[i].trace["adapter"] = entry


def _until_a_job(made: Iterator[tuple[int, Job | None]], many: int) -> list[tuple[int, Job | None]]:
    """The first `many` queries, or more if none of these has a job."""
    first: list[tuple[int, Job | None]] = []
    for one in made:
        first.append(one)
        if len(first) >= many and any(job is not None for _, job in first):
            break
    return first


class timed:
    """Measures the seconds that a `with` block took."""

    seconds = 0.0

    def __enter__(self) -> timed:
        self._begun = time.monotonic()
        return self

    def __exit__(self, *exc: object) -> None:
        self.seconds = time.monotonic() - self._begun
