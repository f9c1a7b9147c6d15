"""Answers documents on every side: by the base alone, with samples in the prompt, with an adapter.

with open_answerer(settings, GSM8K, Writing(room=256), questions) as answerer:
    for i, written in answerer.answers("ttt", documents): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from client.adaptation import Adaptation, Adapted, Items, timed
from client.layout import groups
from client.opening import open_adaptation
from client.text_answerer import TextAnswerer
from eval.harness.documents import Document, Written
from eval.harness.format_only import format_samples
from eval.harness.settings import HarnessSettings, check_retrieval, client_settings
from eval.harness.sides import SIDES
from eval.harness.wording import Wording
from hone.files import short_hash
from kb.decontamination import TextTests

if TYPE_CHECKING:
    from arc.formats import Encoded
    from kb.wire import Hit
    from models.decoding.choice import Sampling

_REUSE = (
    *("size", "mb", "threshold", "strategy", "guard"),
    *("near_threshold", "near", "merge_of", "warm_share"),
)


@dataclass(frozen=True)
class Writing:
    """How the answers to a document are written."""

    room: int  # most tokens of each answer
    samples: int = 1  # number of answers to each document
    rows: int = 8  # answers written together, if they share an adapter or have none
    sampling: Sampling | None = None  # None: greedy


@dataclass(frozen=True)
class Shown:
    """The prompt for a document."""

    place: int  # index of the document
    prompt: Encoded
    samples: int = 0  # number of samples before the question


@contextmanager
def open_answerer(
    settings: HarnessSettings,
    wording: Wording,
    writing: Writing,
    questions: Sequence[str],
    **changes: Any,
) -> Iterator[DocumentAnswerer]:
    """Opens an answerer. `questions` are all questions of the test set: a sample that gives one
    away is withheld. `changes` override the settings that the client reads."""
    check_retrieval(settings)
    tests = TextTests.of("the test set", questions)
    chosen = client_settings(settings, **changes)
    with open_adaptation(chosen, "text", adapt=settings.sides != ["base"]) as adaptation:
        yield DocumentAnswerer(adaptation, settings, wording, writing, tests)


class DocumentAnswerer(TextAnswerer):
    def __init__(
        self,
        adaptation: Adaptation,
        settings: HarnessSettings,
        wording: Wording,
        writing: Writing,
        tests: TextTests,
    ) -> None:
        super().__init__(adaptation, writing.room)
        self.settings, self.wording, self.writing, self.tests = settings, wording, writing, tests
        self.format = wording.form(self.base.tokenizer)

    def how(self, side: str) -> str:
        base, chosen = self.base, self.settings
        parts: list[Any] = [side, base.fingerprint, base.context, chosen.seed]
        parts += [asdict(self.writing), asdict(self.wording)]
        if side != "base":
            key = self.adaptation.key
            parts += [asdict(key), chosen.keep_contaminated, chosen.samples_in_prompt]
        if SIDES[side].adapter == "own" and self.adaptation.store is not None:
            parts += [getattr(chosen, f"local_adapter_manager_{name}") for name in _REUSE]
            parts += [chosen.order]
        return short_hash(*parts)

    def answers(self, side: str, documents: Sequence[Document]) -> Iterator[tuple[int, Written]]:
        """Yields each document's index and answers. A document that does not fit the base's context
        is not answered, and counts as wrong."""
        used = SIDES[side]
        shown = self._shown(documents, used.samples_in_prompt)
        for i in {*range(len(documents))} - {one.place for one in shown}:
            yield i, Written([""] * self.writing.samples, {"decision": "too long"})
        if used.adapter == "own":
            yield from self._by_their_own(documents, shown)
        else:
            adapted = self._format_adapter if used.adapter == "format" else Adapted.as_it_is()
            yield from self._by_one(documents, shown, adapted)

    def _by_their_own(
        self, documents: Sequence[Document], shown: Sequence[Shown]
    ) -> Iterator[tuple[int, Written]]:
        queries = [documents[one.place].query for one in shown]
        for j, own in self.adapted(queries):
            (written,) = self._written(documents, [shown[j]], own)
            seconds = own.trace["seconds"] | written.trace["seconds"]
            trace = own.trace | written.trace | {"seconds": seconds}
            yield shown[j].place, replace(written, trace=trace)

    def _by_one(
        self, documents: Sequence[Document], shown: Sequence[Shown], adapted: Adapted
    ) -> Iterator[tuple[int, Written]]:
        together = max(1, self.writing.rows // self.writing.samples)
        for group in groups(shown, lambda: together):
            for one, written in zip(group, self._written(documents, group, adapted), strict=True):
                yield one.place, written

    def _items_of(self, query: int, hits: list[Hit]) -> Items:
        kept = self._clean(hits)
        withheld = {hit.id for hit in hits} - {hit.id for hit in kept}
        return replace(self._items(kept), withheld=frozenset(withheld))

    def _clean(self, hits: list[Hit]) -> list[Hit]:
        """The hits that give away no question of the test set, this one or another."""
        if self.settings.keep_contaminated:
            return hits
        return self.tests.clean(hits)

    def _shown(self, documents: Sequence[Document], with_samples: bool) -> list[Shown]:
        """The prompts of the documents that fit the context, each with as many samples as leave
        room for an answer."""
        samples = self._samples(documents) if with_samples else [[] for _ in documents]
        pairs = enumerate(zip(documents, samples, strict=True))
        found = (self._fitting(i, *pair) for i, pair in pairs)
        return [one for one in found if one is not None]

    def _fitting(self, place: int, document: Document, samples: list[Hit]) -> Shown | None:
        for many in range(len(samples), -1, -1):
            prompt = self.format.prompt(self.wording.after(samples[:many], document.prompt))
            if len(prompt) + self.room <= self.base.context:
                return Shown(place, prompt, many)
        return Shown(place, prompt) if len(prompt) < self.base.context else None

    def _samples(self, documents: Sequence[Document]) -> list[list[Hit]]:
        """The nearest samples for each document. SIFT is not used, because they are few."""
        if not documents:
            return []
        assert self.adaptation.embedder is not None and self.adaptation.retriever is not None
        vectors = self.adaptation.embedder.embed([document.query for document in documents])
        many = self.settings.samples_in_prompt
        found = self.adaptation.retriever.search(vectors, many, method="faiss")
        return [[hit for hit in self._clean(hits) if hit.kind == "text"] for hits in found]

    @cached_property
    def _format_adapter(self) -> Adapted:
        """The adapter of the control `format`, one for all documents. It has seen none of them."""
        retriever, chosen = self.adaptation.retriever, self.settings
        assert retriever is not None
        hits = self._clean(format_samples(retriever, chosen.num_ttt_samples, chosen.seed))
        alone = replace(self.adaptation, retriever=None, store=None)
        (adapted,) = alone.adapt(["format"], lambda _, none: self._items(hits))
        return adapted

    def _written(
        self, documents: Sequence[Document], shown: Sequence[Shown], adapted: Adapted
    ) -> list[Written]:
        """The answers to each document, all by one adapter or by the base."""
        many = self.writing.samples
        asked = [(one, sample) for one in shown for sample in range(many)]
        rows: list[list[int]] = []
        with timed() as writing:
            for group in groups(asked, lambda: self.writing.rows):
                prompts = [one.prompt for one, _ in group]
                seeds = [self._seed(documents[one.place], sample) for one, sample in group]
                rows += self._rows(prompts, seeds, adapted)
        each = {"decision": adapted.trace["decision"]}
        each |= {"seconds": {"generate": writing.seconds / len(shown)}}
        return [
            Written([self.format.read(row) for row in own], each | _counts(one, own))
            for one, own in zip(shown, _parts(rows, many), strict=True)
        ]

    def _rows(
        self, prompts: Sequence[Encoded], seeds: Sequence[int], adapted: Adapted
    ) -> list[list[int]]:
        from models.decoding.write import decode_slots
        from models.multilora.bank import bank_of

        rooms = [min(self.room, self.base.context - len(prompt)) for prompt in prompts]
        adapters = [] if adapted.adapter is None else [adapted.adapter]
        with bank_of(self.base.model, adapters) as bank:
            (rows,) = decode_slots(
                self.base.model,
                self.format,
                [prompts],
                [rooms],
                bank=bank,
                sampling=self.writing.sampling,
                seeds=[seeds],
                bounds=self.adaptation.layout.bounds,
            )
        return [row.tokens for row in rows]

    def _seed(self, document: Document, sample: int) -> int:
        """The document's own seed, so that its samples do not depend on the order of documents."""
        return int(short_hash(self.settings.seed, document.id, sample), 16)


def _counts(shown: Shown, rows: Sequence[list[int]]) -> dict[str, Any]:
    return {"in_prompt": shown.samples, "written_tokens": [len(row) for row in rows]}


def _parts(rows: Sequence[list[int]], size: int) -> list[Sequence[list[int]]]:
    return [rows[at : at + size] for at in range(0, len(rows), size)]
