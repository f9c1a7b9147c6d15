"""What a model reads and writes. Without torch: processes that draw batches have no use for it."""

from __future__ import annotations

from dataclasses import dataclass

from arc.canvas import CANVAS, END, VOCABULARY


@dataclass(frozen=True)
class Alphabet:
    tokens: int
    positions: int  # from 0 on, at which they stand
    end: int  # the token that ends what is written
    start: int | None = None  # the one that all else stands behind


GRIDS = Alphabet(VOCABULARY, 24 * CANVAS, END)
