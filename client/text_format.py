"""Turns a text query into tokens: by the chat template, or as the text and a newline without one.

PlainFormat is for prompts that are to be continued as they are, even if there is a template.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from arc.digits import DigitsCursor
from arc.formats import IGNORED, Encoded
from hone.errors import BadInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Turn = dict[str, str]  # keys: role, content


class TextFormat:
    """Prompt and answer are tokenised apart, so that labels begin with the answer's first token."""

    trims = True  # remove blanks around an answer

    def __init__(self, tokenizer: PreTrainedTokenizerBase | None) -> None:
        if tokenizer is None:
            raise reads_grids("this base")
        if tokenizer.eos_token_id is None:
            raise BadInput("the tokenizer has no end-of-sequence token; set eos_token for it")
        self.tokenizer: Any = tokenizer
        self.stop = int(self.tokenizer.eos_token_id)

    @property
    def chats(self) -> bool:
        """Whether the tokenizer has a chat template."""
        return bool(getattr(self.tokenizer, "chat_template", None))

    def prompt(self, text: str) -> Encoded:
        return _encoded(self._prompt_ids(text), [])

    def conversation(self, turns: Sequence[Turn]) -> Encoded:
        """The prompt for a conversation, whose last turn is the user's."""
        if self.chats:
            return _encoded(self._templated(turns), [])
        if [turn["role"] for turn in turns] != ["user"]:
            raise BadInput(
                "the base has no chat template, so it takes a single user message only; send one,"
                " or use a base that chats"
            )
        return self.prompt(turns[0]["content"])

    def example(self, prompt: str, answer: str) -> Encoded:
        answer_ids = self.tokenizer.encode(answer, add_special_tokens=False)
        return _encoded(self._prompt_ids(prompt), [*answer_ids, self.stop])

    def cursor(self, prompt: Encoded) -> DigitsCursor:
        return DigitsCursor(int(prompt.positions[-1]))

    def read(self, tokens: list[int]) -> str:
        """The written text without special tokens, trimmed if `trims`."""
        said = self.decoded(tokens)
        return said.strip() if self.trims else said

    def decoded(self, tokens: list[int]) -> str:
        """The written text without special tokens, not trimmed."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))

    def text(self, tokens: list[int]) -> str:
        """The text of tokens, with special tokens."""
        return str(self.tokenizer.decode(tokens))

    def _prompt_ids(self, text: str) -> list[int]:
        if self.chats:
            return self._templated([{"role": "user", "content": text}])
        return self._plain(f"{text}\n")

    def _templated(self, turns: Sequence[Turn]) -> list[int]:
        from jinja2 import TemplateError

        try:
            shown = self.tokenizer.apply_chat_template(
                list(turns), tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:  # system turns, for example
            raise BadInput(f"the base's chat template refuses these messages: {error}") from None
        return list(self.tokenizer.encode(shown, add_special_tokens=False))

    def _plain(self, text: str) -> list[int]:
        bos = self.tokenizer.bos_token_id
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        return [*([] if bos is None else [bos]), *ids]


class PlainFormat(TextFormat):
    """Prompts are not changed; samples are spelled by `question` and `answer`. Blanks count."""

    trims = False

    def __init__(self, tokenizer: Any, question: str = "{}\n", answer: str = "{}") -> None:
        super().__init__(tokenizer)
        self.question, self.answer = question, answer

    def example(self, prompt: str, answer: str) -> Encoded:
        return super().example(self.question.format(prompt), self.answer.format(answer))

    def _prompt_ids(self, text: str) -> list[int]:
        return self._plain(text)


def reads_grids(base: str) -> BadInput:
    return BadInput(f"{base} reads grids, not text; name a language model with --model_path")


def _encoded(prompt: list[int], answer: list[int]) -> Encoded:
    ids = np.array([*prompt, *answer], dtype=np.int64)
    labels = np.where(np.arange(len(ids)) < len(prompt), IGNORED, ids)
    return Encoded(ids, np.arange(len(ids), dtype=np.int64), labels)
