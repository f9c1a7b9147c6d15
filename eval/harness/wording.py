"""How a task spells questions and answers: for the prompt, and for what an adapter is trained on.

Both are spelled alike, so that what an adapter learns of form is the form that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.text_format import TextFormat

if TYPE_CHECKING:
    from arc.formats import Encoded
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
        return RawFormat(tokenizer, self) if self.raw else TextFormat(tokenizer)


class RawFormat(TextFormat):
    """Nothing between prompt and answer but what the task puts there; spaces and lines count."""

    def __init__(self, tokenizer: Any, wording: Wording) -> None:
        super().__init__(tokenizer)
        self.wording = wording

    def example(self, prompt: str, answer: str) -> Encoded:
        return super().example(
            self.wording.question.format(prompt), self.wording.answer.format(answer)
        )

    def read(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))

    def _prompt_ids(self, text: str) -> list[int]:
        bos = self.tokenizer.bos_token_id
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        return [*([] if bos is None else [bos]), *ids]
