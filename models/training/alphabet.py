"""The tokens and positions that a model reads and writes.

This module does not import torch, which the processes that draw batches do not need.
"""

from __future__ import annotations

from dataclasses import dataclass

from arc.canvas import CANVAS, END, VOCABULARY


@dataclass(frozen=True)
class Alphabet:
    tokens: int  # number of tokens
    positions: int  # number of positions, which count from 0
    end: int  # the token that ends a text
    start: int | None = None  # the token that begins a text; None: there is none


GRIDS = Alphabet(VOCABULARY, 24 * CANVAS, END)
