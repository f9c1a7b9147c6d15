"""Reads the items of a JSON list one by one, so that the list can have any length.

Memory holds the longest item and the text that was read with it, not the whole list.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import IO, Any

from hone.errors import Damaged

_CHUNK = 1 << 16  # bytes read at a time; doubled while an item is longer


def json_items(file: IO[bytes], name: str) -> Iterator[Any]:
    """The items of the list in `file`, which errors call `name`."""
    text = _Text(file, name)
    text.expect("[")
    if text.sign() == "]":
        text.expect("]")
    else:
        yield text.item()
        while text.expect(",", "]") == ",":
            yield text.item()
    text.expect("")


class _Text:
    """The text that was read and not yet used; more is read when it does not suffice."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._held, self._at, self._lines, self._ended = "", 0, 1, False

    def sign(self) -> str:
        """The next character that is not white space; "" at the end. It is not consumed."""
        while True:
            rest = self._held[self._at :].lstrip(" \t\r\n")
            if rest or self._ended:
                self._at = len(self._held) - len(rest)
                return rest[:1]
            self._grow(_CHUNK)

    def expect(self, *signs: str) -> str:
        """Consumes the next character, which must be one of these; "" is the end."""
        if (found := self.sign()) not in signs:
            raise self._fault(f"{' or '.join(signs) or 'its end'} was expected")
        self._at += len(found)
        return found

    def item(self) -> Any:
        self.sign()
        chunk = _CHUNK
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._held, self._at)
            except (ValueError, RecursionError) as error:
                if self._ended or isinstance(error, RecursionError):
                    raise self._fault(getattr(error, "msg", str(error))) from None
            else:
                if end < len(self._held) or self._ended:  # else a number may continue
                    self._at = end
                    return value
            self._grow(chunk)
            chunk *= 2

    def _grow(self, size: int) -> None:
        self._lines += self._held.count("\n", 0, self._at)
        read = self._file.read(size)
        try:
            more = self._decoder.decode(read, final=not read)
        except UnicodeDecodeError as error:
            raise self._fault(str(error)) from None
        self._held, self._at, self._ended = self._held[self._at :] + more, 0, not read

    def _fault(self, what: str) -> Damaged:
        line = self._lines + self._held.count("\n", 0, self._at)
        return Damaged(
            f"{self._name} is not a JSON list, near line {line}: {what}; correct the file"
        )
