"""Text as bytes: a token for each of the 256 bytes, one that begins a text and one that ends it.

Nothing is fitted to any text, so every base that is trained on text has the same tokens, and its
probability of a token is that of a byte. The finished base brings the same tokens as an ordinary
tokenizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from arc.formats import Encoded
from models.training.alphabet import Alphabet

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

START, END = 256, 257
SPELLED = {START: "<s>", END: "</s>"}


def bytes_alphabet(context: int) -> Alphabet:
    return Alphabet(258, context, END, START)


def encoded(prompt: str, completion: str) -> Encoded:
    """The text spelled as a text query is (client/text_format.py), with every token labelled."""
    spelled = np.frombuffer(f"{prompt}\n{completion}".encode(), dtype=np.uint8)
    ids = np.concatenate([[START], spelled, [END]]).astype(np.int64)
    return Encoded(ids, np.arange(len(ids), dtype=np.int64), ids)


def bytes_tokenizer(context: int) -> PreTrainedTokenizerBase:
    """A tokenizer for transformers, with the usual characters of byte-level tokenizers."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = {name: number for number, name in enumerate(_characters())}
    names |= {name: number for number, name in SPELLED.items()}
    inner = Tokenizer(models.BPE(names, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    fast: Any = PreTrainedTokenizerFast  # its constructor has no types
    tokenizer: PreTrainedTokenizerBase = fast(
        tokenizer_object=inner,
        bos_token=SPELLED[START],
        eos_token=SPELLED[END],
        clean_up_tokenization_spaces=False,
    )
    return tokenizer


def _characters() -> list[str]:
    """GPT-2's characters for bytes: a printable byte is itself, the others come from 256 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    behind = iter(range(256, 512))
    return [chr(byte if byte in printable else next(behind)) for byte in range(256)]
