"""How a task words questions and answers, both in the prompt and in the samples to train on.

The same wording is used for both, so that the form which an adapter learns is the form asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.text_format import PlainFormat, TextFormat

if TYPE_CHECKING:
    from kb.wire import Hit


@dataclass(frozen=True)
class Wording:
    question: str = "{}\n"
    answer: str = "{}"
    raw: bool = True  # without the tokenizer's chat template; else with it, if there is one

    def sample(self, prompt: str, answer: str) -> str:
        return self.question.format(prompt) + self.answer.format(answer)

    def after(self, hits: Iterable[Hit], prompt: str) -> str:
        """The prompt after solved samples, the nearest sample last."""
        samples = [self.sample(hit.prompt, hit.answer) for hit in reversed(list(hits))]
        return "\n\n".join([*samples, prompt])

    def form(self, tokenizer: Any) -> TextFormat:
        if self.raw:
            return PlainFormat(tokenizer, self.question, self.answer)
        return TextFormat(tokenizer)
