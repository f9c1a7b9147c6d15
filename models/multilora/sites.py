"""Linear layers that read the same input: one frozen product, and the adapters beside it.

Forward and backward are written out. Frozen weights need no gradient, so only the input and the
low-rank middle are kept from the one for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from models.frozen_linear import FrozenLinear
from models.multilora.dropout import Dropout
from models.multilora.flat import FlatLayout
from models.multilora.frozen_product import FrozenProduct
from models.multilora.owned import Owned
from models.multilora.owned_products import add_outer_own, add_times_own, times_own
from models.multilora.under import Under


@dataclass
class Buffers:
    """A bank's flat rows: the working copy of the factors (B scaled), and their gradients."""

    flat: FlatLayout
    work_KP: torch.Tensor
    grads_KP: torch.Tensor
    numbers: dict[str, int]  # a number for every adapted layer, which its dropout is seeded with
    under: Under = field(default_factory=dict)  # frozen adapters under the slots' own


@dataclass(frozen=True)
class Member:
    """One adapted layer of a site."""

    number: int
    outputs: slice  # its columns among the site's outputs
    middle: slice  # its columns among the site's low-rank middles
    b_KRO: torch.Tensor
    b_grad: torch.Tensor


@dataclass
class Kept:
    """What the backward of a site needs: only the input where nothing is adapted."""

    x_NI: torch.Tensor
    h_NR: torch.Tensor | None = None
    dropout: Dropout | None = None


class Site:
    def __init__(
        self, linears: Sequence[FrozenLinear], names: Sequence[str], buffers: Buffers
    ) -> None:
        self.frozen = FrozenProduct(linears, [buffers.under.get(name) for name in names])
        self.width = sum(self.frozen.widths)
        adapted = [name for name in names if name in buffers.flat.shapes]
        self.members = list(_members(linears, names, adapted, buffers))
        if adapted:
            self.a_KRI = buffers.flat.a_KRI(buffers.work_KP, adapted)
            self.a_grad = buffers.flat.a_KRI(buffers.grads_KP, adapted)

    def forward(
        self,
        x_NI: torch.Tensor,
        owned: Owned,
        onto: torch.Tensor | None = None,
        dropout: Dropout | None = None,
    ) -> tuple[torch.Tensor, Kept]:
        """The outputs of all layers side by side, plus `onto`, the residual stream."""
        out = self.frozen.forward(x_NI, onto)
        if not self.members:
            return out, Kept(x_NI)
        h_NR = self._middles(x_NI, owned, dropout)
        for member in self.members:
            add_times_own(out[:, member.outputs], h_NR[:, member.middle], member.b_KRO, owned)
        return out, Kept(x_NI, h_NR, dropout)

    def backward(
        self, g_NO: torch.Tensor, kept: Kept, owned: Owned, *, input_wanted: bool = True
    ) -> torch.Tensor | None:
        """Adds up the gradients of the factors; returns that of the input, where it is wanted."""
        gx_NI = self.frozen.backward(g_NO) if input_wanted else None
        if kept.h_NR is None:
            return gx_NI
        gh_NR = self._b_backward(g_NO, kept.h_NR, owned)
        if kept.dropout is None:
            add_outer_own(self.a_grad, gh_NR, kept.x_NI, owned)
            if gx_NI is not None:
                add_times_own(gx_NI, gh_NR, self.a_KRI, owned)
        else:
            self._dropped_backward(gx_NI, gh_NR, kept, owned)
        return gx_NI

    def _b_backward(self, g_NO: torch.Tensor, h_NR: torch.Tensor, owned: Owned) -> torch.Tensor:
        """Adds up the gradient of B; returns the gradient of the middles."""
        gh_NR = torch.empty_like(h_NR)
        for member in self.members:
            g, h = g_NO[:, member.outputs], h_NR[:, member.middle]
            add_outer_own(member.b_grad, h, g, owned)
            times_own(g, member.b_KRO, owned, out=gh_NR[:, member.middle])
        return gh_NR

    def _middles(self, x_NI: torch.Tensor, owned: Owned, dropout: Dropout | None) -> torch.Tensor:
        if dropout is None:
            return times_own(x_NI, self.a_KRI, owned)
        h_NR = x_NI.new_empty(len(x_NI), self.a_KRI.shape[1])
        for member in self.members:
            dropped = x_NI * dropout.mask(member.number, x_NI)
            times_own(dropped, self.a_KRI[:, member.middle], owned, out=h_NR[:, member.middle])
        return h_NR

    def _dropped_backward(
        self, gx_NI: torch.Tensor | None, gh_NR: torch.Tensor, kept: Kept, owned: Owned
    ) -> None:
        """The rest of the backward with dropout: every member has masked the input its own way."""
        assert kept.dropout is not None
        for member in self.members:
            gh, mask = gh_NR[:, member.middle], kept.dropout.mask(member.number, kept.x_NI)
            add_outer_own(self.a_grad[:, member.middle], gh, kept.x_NI * mask, owned)
            if gx_NI is not None:
                add_masked(gx_NI, gh, self.a_KRI[:, member.middle], owned, mask)


def add_masked(
    onto_NI: torch.Tensor,
    h_NR: torch.Tensor,
    m_KRI: torch.Tensor,
    owned: Owned,
    mask: torch.Tensor,
) -> None:
    """Like `add_times_own`, but the product is multiplied by the mask before it is added."""
    product = torch.zeros_like(onto_NI)
    add_times_own(product, h_NR, m_KRI, owned)
    onto_NI.addcmul_(product, mask)


def _members(
    linears: Sequence[FrozenLinear], names: Sequence[str], adapted: list[str], buffers: Buffers
) -> list[Member]:
    members: list[Member] = []
    flat, at = buffers.flat, 0
    for name, linear in zip(names, linears, strict=True):
        if name in adapted:
            middle = flat.width * len(members)
            members.append(
                Member(
                    buffers.numbers[name],
                    slice(at, at + linear.out_features),
                    slice(middle, middle + flat.width),
                    flat.b_KRO(buffers.work_KP, name),
                    flat.b_KRO(buffers.grads_KP, name),
                )
            )
        at += linear.out_features
    return members
