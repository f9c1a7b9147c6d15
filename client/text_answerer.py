"""Answers text queries: retrieves samples, trains an adapter on them, and writes the answer.

    answerer = TextAnswerer(open_adaptation(settings, "text"), max_new_tokens=256)
    answer = answerer.answer(["What is 12 times 12?"], adapt=True)[0]

Training takes the samples nearest first, unless settings ask to shuffle them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from client.adaptation import Adaptation, Adapted, Items, timed
from client.jobs import Item
from client.layout import groups
from client.phase_lines import adapted_line, retrieved_line, written_line
from client.sample_weights import sample_weights
from client.text_format import TextFormat
from client.text_stream import Piece, TextStream
from hone.errors import BadInput

if TYPE_CHECKING:
    from arc.formats import Encoded
    from client.jobs import Job
    from kb.wire import Hit
    from models.decoding.choice import Sampling
    from models.decoding.write import Written


@dataclass(frozen=True)
class Manner:
    """How the answers to a query are written."""

    room: int  # most tokens of each answer
    seeds: tuple[int, ...] = (0,)  # one answer per seed
    sampling: Sampling | None = None  # None: greedy, whatever the seed
    stops: tuple[str, ...] = ()  # texts that an answer ends before
    # how many of the likeliest tokens to report at each place, beside the chosen one
    likeliest: int = 0


@dataclass(frozen=True)
class Asked:
    """A query with its prompt. `query` is the text for which samples are retrieved, `prompt` what
    the base reads."""

    query: str
    prompt: Encoded
    manner: Manner
    # called with parts of answer number `answer` as it is written
    on_piece: Callable[[int, Piece], None] = lambda answer, piece: None


@dataclass(frozen=True)
class Said:
    """One of the answers to a query."""

    text: str
    tokens: int
    ended: Literal["stop", "length"]  # end token or stop text; no room left


@dataclass(frozen=True)
class Answer:
    query: str
    said: tuple[Said, ...]
    trace: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return self.said[0].text


class TextAnswerer:
    def __init__(
        self,
        adaptation: Adaptation,
        max_new_tokens: int,
        *,
        form: TextFormat | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`tell` is called with a line when a phase is over."""
        self.adaptation, self.base, self.tell = adaptation, adaptation.base, tell
        self.format = form or TextFormat(self.base.tokenizer)
        self.room = max_new_tokens

    def answer(self, queries: Sequence[str], *, adapt: bool) -> list[Answer]:
        """The answers, each with an adapter of its own, or all by the base without adaptation."""
        answers = dict(self.answer_each([self.asked(query) for query in queries], adapt=adapt))
        return [answers[i] for i in range(len(queries))]

    def asked(
        self, query: str, on_piece: Callable[[int, Piece], None] = lambda answer, piece: None
    ) -> Asked:
        """The query with its usual prompt and one greedy answer."""
        return Asked(query, self.readable(self.format.prompt(query)), Manner(self.room), on_piece)

    def readable(self, prompt: Encoded) -> Encoded:
        """The prompt; raises BadInput if it leaves no room for an answer in the base's context."""
        if len(prompt) >= self.base.context:
            raise BadInput(
                f"the query has {len(prompt)} tokens, the base reads {self.base.context};"
                " shorten it or use a base that reads more"
            )
        return prompt

    def answer_each(self, asked: Sequence[Asked], *, adapt: bool) -> Iterator[tuple[int, Answer]]:
        """Yields indices and answers; a query is answered as soon as its adapter is ready."""
        as_it_is = ((i, Adapted.as_it_is()) for i in range(len(asked)))
        for i, own in self.adapted([one.query for one in asked]) if adapt else as_it_is:
            if adapt:
                self.tell(adapted_line(own.trace))
            with timed() as writing:
                said = self._write(asked[i], own)
            own.trace["seconds"]["generate"] = writing.seconds
            own.trace["written_tokens"] = sum(one.tokens for one in said)
            self.tell(written_line(own.trace))
            yield i, Answer(asked[i].query, said, own.trace)

    def adapted(self, queries: Sequence[str]) -> Iterator[tuple[int, Adapted]]:
        """Yields indices and adapters as soon as they are ready. With an adapter store, K queries
        are adapted at a time, so that later ones can reuse the adapters of earlier ones."""
        kept = self.adaptation.store is not None
        window = (lambda: self.adaptation.k) if kept else (lambda: len(queries))
        for group in groups(range(len(queries)), window):
            own = [queries[i] for i in group]
            for j, one in self.adaptation.adapt_each(own, self._items_of):
                yield group[j], one

    def plan(self, queries: Sequence[str]) -> list[tuple[Adapted, Job | None]]:
        """For each query, what was retrieved and the job that would train it; nothing is
        trained."""
        return self.adaptation.plan(queries, lambda _, hits: self._items(hits))

    def _items_of(self, query: int, hits: list[Hit]) -> Items:
        self.tell(retrieved_line(hits))
        return self._items(hits)

    def _items(self, hits: list[Hit]) -> Items:
        """The training items of hits, nearest first, also if SIFT chose them in another order. A
        hit with a multiplicity becomes that many items. Samples with empty answers are left out:
        they would only teach the model to answer nothing."""
        settings = self.adaptation.settings
        texts = [hit for hit in hits if hit.kind == "text" and hit.answer.strip()]
        texts.sort(key=lambda hit: -hit.score)
        weights = sample_weights(texts, by_similarity=settings.weighted_sample_training)
        made = [
            self._item(hit, weight)
            for hit, weight in zip(texts, weights, strict=True)
            for _ in range(hit.multiplicity)
        ]
        fitting = [item for item in made if len(item.encoded) <= self.base.context]
        return Items(fitting, too_long=len(made) - len(fitting))

    def _item(self, hit: Hit, weight: float) -> Item:
        encoded = self.format.example(hit.prompt, hit.answer)
        if self.adaptation.settings.loss_on == "all":
            encoded = encoded.all_counted()
        return Item(encoded, weight, f"{hit.source}#{hit.id}")

    def _write(self, asked: Asked, adapted: Adapted) -> tuple[Said, ...]:
        from models.decoding.write import decode_slots
        from models.multilora.bank import bank_of

        prompt, manner = asked.prompt, asked.manner
        many, room = len(manner.seeds), min(manner.room, self.base.context - len(prompt))
        streams = [self._stream(asked, answer) for answer in range(many)]
        adapters = [] if adapted.adapter is None else [adapted.adapter]
        with bank_of(self.base.model, adapters) as bank:
            (rows,) = decode_slots(
                self.base.model,
                self.format,
                [[prompt] * many],
                [[room] * many],
                bank=bank,
                sampling=manner.sampling,
                seeds=[manner.seeds],
                listeners=[streams],
                bounds=self.adaptation.layout.bounds,
            )
        return tuple(self._said(*pair) for pair in zip(streams, rows, strict=True))

    def _stream(self, asked: Asked, answer: int) -> TextStream:
        manner = asked.manner
        return TextStream(
            self.format,
            manner.stops,
            manner.likeliest,
            lambda piece: asked.on_piece(answer, piece),
        )

    def _said(self, stream: TextStream, row: Written) -> Said:
        stream.end()
        by_itself = stream.stopped or row.tokens[-1:] == [self.format.stop]
        return Said(stream.text, len(row.tokens), "stop" if by_itself else "length")
