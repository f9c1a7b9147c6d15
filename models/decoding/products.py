"""Linear layers that read the same input as one product, and the slots' low-rank products with it.

While rows are written, a product has few rows, and its cost is mostly that of the call. So the
products of all slots are one batched product, on a rectangle with equally many rows per slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from models.frozen_linear import FrozenLinear
from models.multilora.frozen_product import FrozenProduct

WIDEST = 64  # tokens; a slot with more is worth a product of its own


@dataclass(frozen=True)
class Runs:
    """The slot of each token of a line, as spans of (slot, first token, token after the last)."""

    spans: tuple[tuple[int, int, int], ...]
    grid: Grid | None

    @classmethod
    def of(
        cls, slots: Sequence[int], counts: Sequence[int], many: int, device: torch.device
    ) -> Runs:
        """`counts[i]` tokens belong to `slots[i]`, one of `many` slots."""
        spans, at = [], 0
        pairs = zip(slots, counts, strict=True)
        for slot, group in groupby(pairs, key=lambda pair: pair[0]):
            end = at + sum(count for _, count in group)
            if end > at:
                spans.append((slot, at, end))
            at = end
        return cls(tuple(spans), _grid(spans, many, device))

    def within(self, start: int, stop: int) -> Runs:
        """The runs of the tokens from `start` to `stop` alone."""
        cut = ((slot, max(a, start), min(b, stop)) for slot, a, b in self.spans)
        return Runs(tuple((slot, a - start, b - start) for slot, a, b in cut if b > a), None)


@dataclass(frozen=True)
class Grid:
    """All slots' tokens as a rectangle [slots, width]; short slots repeat their last token."""

    slots: int
    index: torch.Tensor | None  # [slots * width] tokens; None: the line is the rectangle already
    back: torch.Tensor | None  # [N] the place of each token in the rectangle; None likewise

    def spread(self, x_NI: torch.Tensor) -> torch.Tensor:
        x = x_NI if self.index is None else x_NI.index_select(0, self.index)
        return x.view(self.slots, -1, x.shape[-1])

    def add(self, onto_NO: torch.Tensor, h_KTR: torch.Tensor, b_KRO: torch.Tensor) -> None:
        if self.back is None:
            onto_NO.view(self.slots, -1, onto_NO.shape[-1]).baddbmm_(h_KTR, b_KRO)
        else:
            onto_NO += torch.bmm(h_KTR, b_KRO).flatten(0, 1).index_select(0, self.back)


def _grid(spans: list[tuple[int, int, int]], many: int, device: torch.device) -> Grid | None:
    """The rectangle; None where a slot is missing or comes twice, or where slots are too unequal or
    too long for padding to pay."""
    if [slot for slot, _, _ in spans] != list(range(many)):
        return None
    lengths = [end - start for _, start, end in spans]
    width = max(lengths)
    if min(lengths) == width:
        return Grid(many, None, None)
    if width > WIDEST or many * width > 2 * sum(lengths):
        return None
    index = [start + min(i, end - start - 1) for _, start, end in spans for i in range(width)]
    back = [row * width + i for row, length in enumerate(lengths) for i in range(length)]
    return Grid(many, torch.tensor(index, device=device), torch.tensor(back, device=device))


@dataclass(frozen=True)
class Adapter:
    """The factors of all slots for one layer, ready to be multiplied with: B is scaled."""

    a_KRI: torch.Tensor
    b_KRO: torch.Tensor

    def of(self, slots: torch.Tensor) -> Adapter:
        return Adapter(self.a_KRI.index_select(0, slots), self.b_KRO.index_select(0, slots))


@dataclass(frozen=True)
class Part:
    """One adapted layer of a product."""

    columns: slice  # its columns of the product's output
    middle: slice  # its columns of the product's low-rank middle
    b_KRO: torch.Tensor


class Product:
    def __init__(self, linears: Sequence[FrozenLinear], adapters: Sequence[Adapter | None]) -> None:
        self.frozen = FrozenProduct(linears)
        self.widths = self.frozen.widths
        self.a_KRI, self.parts = _parts(self.widths, adapters)

    def __call__(
        self, x_NI: torch.Tensor, runs: Runs, onto: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The product of all layers and adapters, plus `onto`, the residual stream."""
        out = self.frozen.forward(x_NI, onto)
        if self.a_KRI is not None:
            self._add_adapters(out, x_NI, runs, self.a_KRI.transpose(1, 2))
        return out

    def select(self, slots: torch.Tensor) -> None:
        """Keeps only these slots and renumbers them."""
        if self.a_KRI is not None:
            self.a_KRI = self.a_KRI.index_select(0, slots)
            self.parts = [
                Part(part.columns, part.middle, part.b_KRO.index_select(0, slots))
                for part in self.parts
            ]

    def _add_adapters(
        self, out: torch.Tensor, x_NI: torch.Tensor, runs: Runs, a_KIR: torch.Tensor
    ) -> None:
        if runs.grid is not None:
            h_KTR = torch.bmm(runs.grid.spread(x_NI), a_KIR)
            for part in self.parts:
                runs.grid.add(out[:, part.columns], h_KTR[:, :, part.middle], part.b_KRO)
            return
        for slot, start, end in runs.spans:
            h_NR = x_NI[start:end] @ a_KIR[slot]
            for part in self.parts:
                out[start:end, part.columns].addmm_(h_NR[:, part.middle], part.b_KRO[slot])


def _parts(
    widths: Sequence[int], adapters: Sequence[Adapter | None]
) -> tuple[torch.Tensor | None, list[Part]]:
    parts, column, middle = [], 0, 0
    for width, adapter in zip(widths, adapters, strict=True):
        if adapter is not None:
            rank = adapter.a_KRI.shape[1]
            columns = slice(column, column + width)
            parts.append(Part(columns, slice(middle, middle + rank), adapter.b_KRO))
            middle += rank
        column += width
    found = [adapter.a_KRI for adapter in adapters if adapter is not None]
    return (torch.cat(found, dim=1) if found else None), parts
