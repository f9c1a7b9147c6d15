"""An answer as it is written: tokens become text, which is told as soon as it is certain.

    stream = TextStream(form, stops=("\n\n",), on_piece=lambda piece: print(piece.text, end=""))
    decode(model, form, [prompt], [room], listeners=[stream])
    stream.end()
    stream.text, stream.stopped

Held back for a while are the first bytes of a character, what may become a stop string, and, where
the format trims, blanks that may be the last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.text_format import TextFormat

if TYPE_CHECKING:
    from models.decoding.places import Place

_HALF = "\ufffd"  # what a tokenizer makes of bytes that are no whole character


@dataclass(frozen=True)
class Token:
    id: int
    text: str  # what it added; nothing where a character is not whole yet
    begins: int  # at this character of all that was written
    place: Place


@dataclass(frozen=True)
class Piece:
    """What has become certain: text, and the tokens that it comes from. Either may be empty."""

    text: str = ""
    tokens: tuple[Token, ...] = ()


Hears = Callable[[Piece], None]


class TextStream:
    """The listener of one row. `on_piece` is called at every token: it may raise to end it all."""

    def __init__(
        self,
        form: TextFormat,
        stops: Sequence[str] = (),
        likeliest: int = 0,
        on_piece: Hears = lambda piece: None,
    ) -> None:
        self.form, self.stops, self.likeliest, self.on_piece = form, stops, likeliest, on_piece
        self.stopped = False  # by one of the stop strings
        self._read = ""  # all that the tokens spell, as far as it is whole
        self._told = 0  # characters of it
        self._ids: list[int] = []
        self._spelled = 0, 0  # tokens that are decoded again for their neighbours' sake, and all
        self._waiting: list[Token] = []  # whose text has not been told

    @property
    def text(self) -> str:
        """What was told so far."""
        return self._read[self._begin : self._told]

    def hear(self, token: int, place: Place) -> bool:
        begins = len(self._read)
        self._ids.append(token)
        added = self._new_text(whole=False)
        self._read += added
        self._waiting.append(Token(token, added, begins, place))
        self._stop(begins)
        self._tell(len(self._read) if self.stopped else self._certain())
        return not self.stopped

    def end(self) -> None:
        """No more tokens come: what was held back is told."""
        if not self.stopped:
            begins = len(self._read)
            self._read += self._new_text(whole=True)
            self._stop(begins)
            self._tell(len(self._read))

    def _new_text(self, *, whole: bool) -> str:
        """What the tokens say that have not said anything yet. They are decoded behind those before
        them, because a token's text may depend on its neighbour."""
        start, done = self._spelled
        before = self.form.decoded(self._ids[start:done])
        now = self.form.decoded(self._ids[start:])
        if len(now) <= len(before) or (now.endswith(_HALF) and not whole):
            return ""
        self._spelled = done, len(self._ids)
        return now[len(before) :]

    def _stop(self, begins: int) -> None:
        """Cut at the first stop string that ends behind `begins`."""
        longest = max(map(len, self.stops), default=0)
        places = [self._read.find(stop, max(0, begins - longest)) for stop in self.stops]
        if found := [place for place in places if place >= 0]:
            self._read, self.stopped = self._read[: min(found)], True

    def _certain(self) -> int:
        """Characters that no later token can take back."""
        held = (
            size
            for stop in self.stops
            for size in range(1, len(stop))
            if self._read.endswith(stop[:size])
        )
        return len(self._read) - max(held, default=0)

    @property
    def _begin(self) -> int:
        """Where the answer begins in what was read."""
        return len(self._read) - len(self._read.lstrip()) if self.form.trims else 0

    def _tell(self, end: int) -> None:
        if self.form.trims:
            end = len(self._read[:end].rstrip())
        begin = max(self._told, min(self._begin, end))
        told = [token for token in self._waiting if token.begins < end]
        del self._waiting[: len(told)]
        self._told = max(end, self._told)
        self.on_piece(Piece(self._read[begin:end], tuple(told)))
