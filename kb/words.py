"""The words of a text, the same however it was typed: texts are compared by them.

Case, punctuation and spacing do not count; numbers and the signs between them do, since `3 + 4` and
`3 - 4` are two questions.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")  # 1,000 is 1000
_WORD = re.compile(r"\d+(?:\.\d+)*|[^\W\d_]+|[+*/=<>^]|-(?=\s*\d)")


def words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(_THOUSANDS.sub("", folded))


def numbers(found: Sequence[str]) -> list[str]:
    return [word for word in found if word[0].isdigit()]


def runs(found: Sequence[str], length: int) -> Iterator[int]:
    """A hash of each run of `length` consecutive words; a shorter text is one run."""
    for start in range(max(1, len(found) - length + 1)):
        yield spelled_hash(found[start : start + length])


def spelled_hash(found: Sequence[str]) -> int:
    return zlib.crc32(" ".join(found).encode())
