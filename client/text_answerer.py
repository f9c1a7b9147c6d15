"""The way of a query for text: retrieve samples, train on them, answer.

    answerer = TextAnswerer(open_adaptation(settings, "text"), max_new_tokens=256)
    answer = answerer.answer(["What is 12 times 12?"], adapt=True)[0]

Training keeps the order of what was retrieved, nearest first, unless it is told to shuffle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.adaptation import Adaptation, Adapted, Items, timed
from client.jobs import Item
from client.sample_weights import sample_weights
from client.text_format import TextFormat
from hone.errors import BadInput

if TYPE_CHECKING:
    from arc.formats import Encoded
    from client.jobs import Job
    from kb.wire import Hit


@dataclass(frozen=True)
class Answer:
    query: str
    text: str
    trace: dict[str, Any]


class TextAnswerer:
    def __init__(self, adaptation: Adaptation, max_new_tokens: int) -> None:
        self.adaptation, self.base = adaptation, adaptation.base
        self.format = TextFormat(self.base.tokenizer)
        self.room = max_new_tokens

    def answer(self, queries: Sequence[str], *, adapt: bool) -> list[Answer]:
        """The answers, each by its own adapter, or all by the base as it is."""
        prompts = [self._prompt(query) for query in queries]
        adapted = (
            self.adaptation.adapt(queries, lambda _, hits: self._items(hits))
            if adapt
            else [Adapted.as_it_is() for _ in queries]
        )
        answers = []
        for query, prompt, own in zip(queries, prompts, adapted, strict=True):
            with timed() as writing:
                text, tokens = self._write(prompt, own)
            own.trace["seconds"]["generate"] = writing.seconds
            answers.append(Answer(query, text, {**own.trace, "written_tokens": tokens}))
        return answers

    def plan(self, queries: Sequence[str]) -> list[tuple[Adapted, Job | None]]:
        """What each would be trained on."""
        return self.adaptation.plan(queries, lambda _, hits: self._items(hits))

    def _prompt(self, query: str) -> Encoded:
        prompt = self.format.prompt(query)
        if len(prompt) >= self.base.context:
            raise BadInput(
                f"the query has {len(prompt)} tokens, the base reads {self.base.context};"
                " shorten it or use a base that reads more"
            )
        return prompt

    def _items(self, hits: list[Hit]) -> Items:
        """Nearest first; what SIFT chose several times counts so often."""
        settings = self.adaptation.settings
        texts = [hit for hit in hits if hit.kind == "text"]
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

    def _write(self, prompt: Encoded, adapted: Adapted) -> tuple[str, int]:
        from models.decoding.write import decode_slots
        from models.multilora.bank import bank_of

        room = min(self.room, self.base.context - len(prompt))
        adapters = [] if adapted.adapter is None else [adapted.adapter]
        with bank_of(self.base.model, adapters) as bank:
            ((row,),) = decode_slots(
                self.base.model,
                self.format,
                [[prompt]],
                [[room]],
                bank=bank,
                bounds=self.adaptation.layout.bounds,
            )
        return self.format.read(row.tokens), len(row.tokens)
