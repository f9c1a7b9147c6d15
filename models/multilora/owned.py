"""Tokens that belong to slots, and products in which every slot uses its own matrix.

Tokens stand in one line, sorted by slot. Where the slots that have any have equally many, one
batched product serves them all; else each slot's tokens are multiplied alone. Either way no value
crosses from slot to slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch


@dataclass(frozen=True)
class Owned:
    """`ends[k]` says where the tokens of slot k end."""

    ends: tuple[int, ...]

    @classmethod
    def counted(cls, counts: Sequence[int]) -> Owned:
        return cls(tuple(accumulate(counts)))

    @cached_property
    def spans(self) -> list[tuple[int, int, int]]:
        """Slot, first token, token after the last, of every slot that has tokens."""
        starts = (0, *self.ends[:-1])
        return [(k, a, b) for k, (a, b) in enumerate(zip(starts, self.ends, strict=True)) if b > a]

    def within(self, start: int, stop: int) -> Owned:
        """The same slots over the tokens from `start` to `stop` alone."""
        return Owned(tuple(min(max(end, start), stop) - start for end in self.ends))

    @cached_property
    def even(self) -> slice | None:
        """The slots that have tokens, where they are neighbours with equally many each."""
        spans = self.spans
        if not spans or len({b - a for _, a, b in spans}) > 1:
            return None
        first, last = spans[0][0], spans[-1][0]
        return slice(first, last + 1) if last - first + 1 == len(spans) else None


def times_own(x_NI: torch.Tensor, w_KIO: torch.Tensor, owned: Owned) -> torch.Tensor:
    """Every token times its slot's matrix."""
    among = owned.even
    if among is not None:
        x_KTI = _by_slot(x_NI, among)
        return torch.bmm(x_KTI, w_KIO[among]).view(len(x_NI), w_KIO.shape[-1])
    out = x_NI.new_empty(len(x_NI), w_KIO.shape[-1])
    for slot, start, end in owned.spans:
        torch.mm(x_NI[start:end], w_KIO[slot], out=out[start:end])
    return out


def add_times_own(
    onto_NO: torch.Tensor, x_NI: torch.Tensor, w_KIO: torch.Tensor, owned: Owned
) -> None:
    """The same, added to what stands in `onto`."""
    among = owned.even
    if among is not None:
        _by_slot(onto_NO, among).baddbmm_(_by_slot(x_NI, among), w_KIO[among])
        return
    for slot, start, end in owned.spans:
        onto_NO[start:end].addmm_(x_NI[start:end], w_KIO[slot])


def add_outer(
    total_KIO: torch.Tensor, x_NI: torch.Tensor, g_NO: torch.Tensor, owned: Owned
) -> None:
    """Add every slot's `x^T g` over its own tokens to its part of the total."""
    for among, product in outer_own(x_NI, g_NO, owned):
        total_KIO[among].add_(product)


def outer_own(
    x_NI: torch.Tensor, g_NO: torch.Tensor, owned: Owned
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Every slot's `x^T g` over its own tokens, as [slots, I, O] for some slots at a time."""
    among = owned.even
    if among is not None:
        yield among, torch.bmm(_by_slot(x_NI, among).transpose(1, 2), _by_slot(g_NO, among))
        return
    for slot, start, end in owned.spans:
        yield slice(slot, slot + 1), (x_NI[start:end].t() @ g_NO[start:end])[None]


def _by_slot(x_NI: torch.Tensor, among: slice) -> torch.Tensor:
    """[slots, tokens, width]; a view, of columns of a wider tensor too."""
    return x_NI.view(among.stop - among.start, -1, x_NI.shape[-1])
