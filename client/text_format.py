"""What a model sees of a text query: its chat template, or prompt and newline where it has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from arc.digits import DigitsCursor
from arc.formats import IGNORED, Encoded
from hone.errors import BadInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TextFormat:
    """Prompt and answer are tokenised apart, so that labels begin with the answer's own token."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase | None) -> None:
        if tokenizer is None:
            raise reads_grids("this base")
        if tokenizer.eos_token_id is None:
            raise BadInput("the tokenizer has no end-of-sequence token; set eos_token for it")
        self.tokenizer: Any = tokenizer
        self.stop = int(self.tokenizer.eos_token_id)

    def prompt(self, text: str) -> Encoded:
        return _encoded(self._prompt_ids(text), [])

    def example(self, prompt: str, answer: str) -> Encoded:
        answer_ids = self.tokenizer.encode(answer, add_special_tokens=False)
        return _encoded(self._prompt_ids(prompt), [*answer_ids, self.stop])

    def cursor(self, prompt: Encoded) -> DigitsCursor:
        return DigitsCursor(int(prompt.positions[-1]))

    def read(self, tokens: list[int]) -> str:
        """What was written, without special tokens."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True)).strip()

    def text(self, tokens: list[int]) -> str:
        """What a model sees, special tokens and all."""
        return str(self.tokenizer.decode(tokens))

    def _prompt_ids(self, text: str) -> list[int]:
        if getattr(self.tokenizer, "chat_template", None):
            turns = [{"role": "user", "content": text}]
            shown = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True
            )
            return list(self.tokenizer.encode(shown, add_special_tokens=False))
        bos = self.tokenizer.bos_token_id
        ids = self.tokenizer.encode(f"{text}\n", add_special_tokens=False)
        return [*([] if bos is None else [bos]), *ids]


def reads_grids(base: str) -> BadInput:
    return BadInput(f"{base} reads grids, not text; name a language model with --model_path")


def _encoded(prompt: list[int], answer: list[int]) -> Encoded:
    ids = np.array([*prompt, *answer], dtype=np.int64)
    labels = np.where(np.arange(len(ids)) < len(prompt), IGNORED, ids)
    return Encoded(ids, np.arange(len(ids), dtype=np.int64), labels)
