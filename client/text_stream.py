"""Turns an answer's tokens into text as they are written, and passes text on once it is certain.

    stream = TextStream(form, stops=("\n\n",), on_piece=lambda piece: print(piece.text, end=""))
    decode(model, form, [prompt], [room], listeners=[stream])
    stream.end()
    stream.text, stream.stopped

Text is held back while it may change: the first bytes of a character, the beginning of a possible
stop string, and blanks at the end where the format trims them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.text_format import TextFormat

if TYPE_CHECKING:
    from models.decoding.places import Place

_HALF = "\ufffd"  # how a tokenizer decodes an incomplete character


@dataclass(frozen=True)
class Token:
    id: int
    text: str  # text that it added; empty while a character is incomplete
    begins: int  # offset of its text in the written text
    place: Place


@dataclass(frozen=True)
class Piece:
    """Text that has become certain, and the tokens that it comes from. Either may be empty."""

    text: str = ""
    tokens: tuple[Token, ...] = ()


Hears = Callable[[Piece], None]


class TextStream:
    """The listener of one row. `on_piece` is called at every token; it may raise to stop
    decoding."""

    def __init__(
        self,
        form: TextFormat,
        stops: Sequence[str] = (),
        likeliest: int = 0,
        on_piece: Hears = lambda piece: None,
    ) -> None:
        self.form, self.stops, self.likeliest, self.on_piece = form, stops, likeliest, on_piece
        self.stopped = False  # whether a stop string has ended the answer
        self._read = ""  # text of all tokens up to the last complete character
        self._told = 0  # number of its characters that were passed on
        self._ids: list[int] = []
        # (start, end): ids[start:end] are in _read, and are decoded again with the next
        self._spelled = 0, 0
        self._waiting: list[Token] = []  # tokens whose text has not been passed on

    @property
    def text(self) -> str:
        """The text that was passed on so far."""
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
        """To be called after the last token: passes on what was held back."""
        if not self.stopped:
            begins = len(self._read)
            self._read += self._new_text(whole=True)
            self._stop(begins)
            self._tell(len(self._read))

    def _new_text(self, *, whole: bool) -> str:
        """The text of the tokens that are not in `_read` yet. They are decoded together with the
        tokens before them, because the text of a token may depend on its neighbour."""
        start, done = self._spelled
        before = self.form.decoded(self._ids[start:done])
        now = self.form.decoded(self._ids[start:])
        if len(now) <= len(before) or (now.endswith(_HALF) and not whole):
            return ""
        self._spelled = done, len(self._ids)
        return now[len(before) :]

    def _stop(self, begins: int) -> None:
        """Cuts the text at the first stop string that ends after `begins`."""
        longest = max(map(len, self.stops), default=0)
        places = [self._read.find(stop, max(0, begins - longest)) for stop in self.stops]
        if found := [place for place in places if place >= 0]:
            self._read, self.stopped = self._read[: min(found)], True

    def _certain(self) -> int:
        """Number of characters that no later token can change."""
        held = (
            size
            for stop in self.stops
            for size in range(1, len(stop))
            if self._read.endswith(stop[:size])
        )
        return len(self._read) - max(held, default=0)

    @property
    def _begin(self) -> int:
        """Where the answer begins in the written text, after blanks that the format trims."""
        return len(self._read) - len(self._read.lstrip()) if self.form.trims else 0

    def _tell(self, end: int) -> None:
        if self.form.trims:
            end = len(self._read[:end].rstrip())
        begin = max(self._told, min(self._begin, end))
        told = [token for token in self._waiting if token.begins < end]
        del self._waiting[: len(told)]
        self._told = max(end, self._told)
        self.on_piece(Piece(self._read[begin:end], tuple(told)))
