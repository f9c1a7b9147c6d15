"""The way of a query for text: retrieve samples, train on them, answer.

    answerer = TextAnswerer(open_adaptation(settings, "text"), max_new_tokens=256)
    answer = answerer.answer(["What is 12 times 12?"], adapt=True)[0]

Training keeps the order of what was retrieved, nearest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.adaptation import Adaptation, Adapted, Items, timed
from client.jobs import Item
from client.text_format import TextFormat
from hone.errors import BadInput

if TYPE_CHECKING:
    from arc.formats import Encoded
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
        encoded = [
            self.format.example(hit.prompt, hit.answer)
            for hit in hits
            if hit.kind == "text"
            for _ in range(hit.multiplicity)
        ]
        fitting = [Item(one) for one in encoded if len(one) <= self.base.context]
        return Items(fitting, too_long=len(encoded) - len(fitting))

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
