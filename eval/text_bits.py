"""Measures what texts cost a model in bits, exactly, over all their bytes.

    costs = bits_of(base, StreamFormat(base.tokenizer), texts, adapter)
    sum(cost.bits for cost in costs) / sum(cost.bytes for cost in costs)

A text is a question, a line end and its answer. The token before it is given, and the token that
ends it is not counted. All tokens between are predicted; the bytes are those of the text that they
spell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from client.text_format import TextFormat

if TYPE_CHECKING:
    from arc.formats import Encoded
    from models.base import Base
    from models.decoding.write import Bounds
    from models.multilora.peft_files import AdapterFiles


@dataclass(frozen=True)
class Text:
    prompt: str
    answer: str


@dataclass(frozen=True)
class Cost:
    """The cost of a text, and of its answer given the question."""

    bits: float
    bytes: int
    answer_bits: float
    answer_bytes: int


class StreamFormat(TextFormat):
    """Text without a chat template. If the tokenizer has no first token, its end token is put
    before each text, so that the text's first token is predicted too."""

    def tokens(self, text: Text) -> int:
        return len(self.example(text.prompt, text.answer))

    def _prompt_ids(self, text: str) -> list[int]:
        bos = self.tokenizer.bos_token_id
        ids = self.tokenizer.encode(f"{text}\n", add_special_tokens=False)
        return [self.stop if bos is None else int(bos), *ids]


def bits_of(
    base: Base,
    form: StreamFormat,
    texts: Sequence[Text],
    adapter: AdapterFiles | None,
    bounds: Bounds | None = None,
) -> list[Cost]:
    """The cost of each text, by the base with an adapter, or alone if it is None. Each text must
    fit into the base's context."""
    from models.decoding.score import score
    from models.decoding.write import UNBOUNDED
    from models.multilora.bank import bank_of

    rows = [form.example(text.prompt, text.answer) for text in texts]
    with bank_of(base.model, [] if adapter is None else [adapter]) as bank:
        found = score(
            base.model,
            form,
            [_given(row) for row in rows],
            [[row.ids[1:-1].tolist()] for row in rows],
            bank=bank,
            bounds=UNBOUNDED if bounds is None else bounds,
        )
    return [_cost(form, text, tokens) for text, (tokens,) in zip(texts, found, strict=True)]


def _given(row: Encoded) -> Encoded:
    return replace(row, ids=row.ids[:1], positions=row.positions[:1], labels=row.labels[:1])


def _cost(form: StreamFormat, text: Text, log_probabilities: Sequence[float]) -> Cost:
    bits = [-one / math.log(2) for one in log_probabilities]
    question = len(form.prompt(text.prompt)) - 1
    spelled = [len(part.encode()) for part in (f"{text.prompt}\n", text.answer)]
    return Cost(math.fsum(bits), sum(spelled), math.fsum(bits[question:]), spelled[1])


def name_of(folder: Path) -> str:
    """A base's name: that of its folder, or of the parent if the folder is called `base`."""
    return folder.parent.name if folder.name == "base" else folder.name
