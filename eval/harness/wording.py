"""How a task spells questions and answers: for the prompt, and for what an adapter is trained on.

Both are spelled alike, so that what an adapter learns of form is the form that is asked for.
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
    raw: bool = True  # as it stands; else by the tokenizer's chat template where it has one

    def sample(self, prompt: str, answer: str) -> str:
        return self.question.format(prompt) + self.answer.format(answer)

    def after(self, hits: Iterable[Hit], prompt: str) -> str:
        """The prompt behind solved samples, the nearest of them last."""
        samples = [self.sample(hit.prompt, hit.answer) for hit in reversed(list(hits))]
        return "\n\n".join([*samples, prompt])

    def form(self, tokenizer: Any) -> TextFormat:
        if self.raw:
            return PlainFormat(tokenizer, self.question, self.answer)
        return TextFormat(tokenizer)
