"""Which tokens a language model may write next while it spells a grid as text.

Tokenizers divide text in different ways, so a token may come wherever the text that it stands for
may come. Only tokens that the tokenizer itself uses in grids are considered, since a model has
learned to write these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from arc.grammar import Begun
from arc.grid import COLOURS, MAX_SIDE

_DIGITS = "0123456789"


@dataclass(frozen=True)
class BegunText:
    """The text of a grid as far as it has been written."""

    begun: Begun
    last: str = ""  # its last character

    @property
    def whole(self) -> bool:
        ended = self.begun.with_row_ended()
        return ended is not None and ended.whole

    def after(self, text: str) -> BegunText | None:
        """This text followed by `text`; None where no grid continues like this."""
        here: BegunText | None = self
        for sign in text:
            here = here._after_sign(sign) if here else None
        return here

    def _after_sign(self, sign: str) -> BegunText | None:
        within = self.last != "" and self.last in _DIGITS
        if sign in _DIGITS:
            begun = None if within else self.begun.with_cell()
        elif sign == " ":
            # some tokenizers begin every text with a blank
            fits = self.begun.with_cell() if within else self.last == ""
            begun = self.begun if fits else None
        else:
            begun = self.begun.with_row_ended() if within and sign == "\n" else None
            begun = begun if begun and begun.another_row else None
        return None if begun is None else BegunText(begun, sign)


class Alphabet:
    """The tokens that a tokenizer uses to spell grids, and the text of each."""

    def __init__(
        self, encode: Callable[[str], list[int]], decode: Callable[[list[int]], str], stop: int
    ) -> None:
        self.stop = stop
        used = dict.fromkeys(token for text in _specimens() for token in encode(text))
        # a token that is decoded alone may lose the blank that it begins with
        anchor = encode("0")[-1:]
        before = len(decode(anchor))
        spelled = {token: decode([*anchor, token])[before:] for token in used}
        self.texts = {t: text for t, text in spelled.items() if text and not text.strip(_SIGNS)}
        self._allowed: dict[BegunText, tuple[int, ...]] = {}

    def allowed(self, here: BegunText) -> tuple[int, ...]:
        if here not in self._allowed:
            tokens = [token for token, text in self.texts.items() if here.after(text)]
            # where no token can follow, the answer ends rather than runs on
            ends = [self.stop] if here.whole or not tokens else []
            self._allowed[here] = (*tokens, *ends)
        return self._allowed[here]


@dataclass(frozen=True)
class DigitsGrammar:
    alphabet: Alphabet
    here: BegunText

    @property
    def allowed(self) -> tuple[int, ...]:
        return self.alphabet.allowed(self.here)

    def after(self, token: int) -> DigitsGrammar:
        moved = self.here.after(self.alphabet.texts.get(token, ""))
        return self if moved is None else DigitsGrammar(self.alphabet, moved)


_SIGNS = _DIGITS + " \n"


def _specimens() -> Iterator[str]:
    """Texts with every two colours beside and below each other, and with long runs of each."""
    for a in range(COLOURS):
        yield " ".join([str(a)] * MAX_SIDE)
        yield "\n".join([str(a)] * MAX_SIDE)
        for b in range(COLOURS):
            yield f"{a} {b}\n{b} {a}"
