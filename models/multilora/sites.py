"""Linear layers that read the same input: one frozen product, and the adapters beside it.

Forward and backward are written out; the frozen weights want no gradient, so what is kept from one
to the other is the input and the low-rank middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from models.frozen_linear import FrozenLinear
from models.multilora.dropout import Dropout
from models.multilora.flat import FlatLayout
from models.multilora.frozen_product import FrozenProduct
from models.multilora.owned import Owned, add_outer, add_times_own, outer_own, times_own


@dataclass
class Buffers:
    """The flat rows of a bank: factors as they are multiplied with (B scaled), and gradients."""

    flat: FlatLayout
    work_KP: torch.Tensor
    grads_KP: torch.Tensor
    numbers: dict[str, int]  # of every adapted layer: what its dropout is drawn from
    version: int = 0  # of what stands in `work_KP`


@dataclass(frozen=True)
class Member:
    """One adapted layer of a site."""

    number: int
    outputs: slice  # its columns among the site's outputs
    middle: slice  # its columns among the site's low-rank middles
    b_KRO: torch.Tensor
    b_grad: torch.Tensor


@dataclass(frozen=True)
class Block:
    """Adapted layers whose low-rank products are taken as one."""

    members: tuple[Member, ...]

    @property
    def middle(self) -> slice:
        return slice(self.members[0].middle.start, self.members[-1].middle.stop)

    @property
    def outputs(self) -> slice:
        return slice(self.members[0].outputs.start, self.members[-1].outputs.stop)

    def own(self, product_KRO: torch.Tensor, member: Member) -> torch.Tensor:
        """The member's part of what was computed for the block; what lies off is nobody's."""
        row, column = self.middle.start, self.outputs.start
        rows = slice(member.middle.start - row, member.middle.stop - row)
        columns = slice(member.outputs.start - column, member.outputs.stop - column)
        return product_KRO[:, rows, columns]


@dataclass
class Kept:
    """What the backward of a site needs; the input alone where nothing is adapted."""

    x_NI: torch.Tensor
    h_NR: torch.Tensor | None = None
    dropout: Dropout | None = None


class Site:
    def __init__(
        self, linears: Sequence[FrozenLinear], names: Sequence[str], buffers: Buffers
    ) -> None:
        self.frozen = FrozenProduct(linears)
        self.width = sum(self.frozen.widths)
        adapted = [name for name in names if name in buffers.flat.shapes]
        self.members = list(_members(linears, names, adapted, buffers))
        self._together = [Block(tuple(self.members))]
        self._apart = [Block((member,)) for member in self.members]
        self.buffers, self._version = buffers, -1
        if adapted:
            self._a_work = buffers.flat.a_KRI(buffers.work_KP, adapted)
            self.a_grad = buffers.flat.a_KRI(buffers.grads_KP, adapted)

    def forward(
        self,
        x_NI: torch.Tensor,
        owned: Owned,
        onto: torch.Tensor | None = None,
        dropout: Dropout | None = None,
    ) -> tuple[torch.Tensor, Kept]:
        """`onto` is added to the result: the residual stream."""
        out = self.frozen.forward(x_NI, onto)
        if not self.members:
            return out, Kept(x_NI)
        self._catch_up()
        h_NR = self._middles(x_NI, owned, dropout)
        for block in self._blocks(owned):
            b_KRO = self.b_KRO[:, block.middle, block.outputs]
            add_times_own(out[:, block.outputs], h_NR[:, block.middle], b_KRO, owned)
        return out, Kept(x_NI, h_NR, dropout)

    def backward(
        self, g_NO: torch.Tensor, kept: Kept, owned: Owned, *, input_wanted: bool = True
    ) -> torch.Tensor | None:
        """The gradient of the input, where it is wanted; those of the factors are added up."""
        gx_NI = self.frozen.backward(g_NO) if input_wanted else None
        if kept.h_NR is None:
            return gx_NI
        gh_NR = self._b_backward(g_NO, kept.h_NR, owned)
        if kept.dropout is None:
            add_outer(self.a_grad, gh_NR, kept.x_NI, owned)
            if gx_NI is not None:
                add_times_own(gx_NI, gh_NR, self.a_KRI, owned)
        else:
            self._dropped_backward(gx_NI, gh_NR, kept, owned)
        return gx_NI

    def _blocks(self, owned: Owned) -> list[Block]:
        """One batched product for all layers costs fewer launches; slot by slot, where products are
        large, it would cost the zeros beside the layers' own blocks."""
        return self._together if owned.even is not None else self._apart

    def _b_backward(self, g_NO: torch.Tensor, h_NR: torch.Tensor, owned: Owned) -> torch.Tensor:
        """The gradient of the middles; that of B is added up."""
        parts = []
        for block in self._blocks(owned):
            g, h = g_NO[:, block.outputs], h_NR[:, block.middle]
            for among, product in outer_own(h, g, owned):
                for member in block.members:
                    member.b_grad[among].add_(block.own(product, member))
            b_KRO = self.b_KRO[:, block.middle, block.outputs]
            parts.append(times_own(g, b_KRO.transpose(1, 2), owned))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _catch_up(self) -> None:
        """Copies of the factors that products read at full speed: every slot's own is dense, and
        the members' B stand on the diagonal of one matrix."""
        if self._version == self.buffers.version:
            return
        if self._version < 0:
            self.a_KRI = torch.empty_like(self._a_work, memory_format=torch.contiguous_format)
            self.b_KRO = self._a_work.new_zeros(*self._a_work.shape[:2], self.width)
        self.a_KRI.copy_(self._a_work)
        for member in self.members:
            self.b_KRO[:, member.middle, member.outputs] = member.b_KRO
        self._version = self.buffers.version

    def _middles(self, x_NI: torch.Tensor, owned: Owned, dropout: Dropout | None) -> torch.Tensor:
        if dropout is None:
            return times_own(x_NI, self.a_KRI.transpose(1, 2), owned)
        return torch.cat(
            [
                times_own(
                    x_NI * dropout.mask(member.number, x_NI),
                    self.a_KRI[:, member.middle].transpose(1, 2),
                    owned,
                )
                for member in self.members
            ],
            dim=1,
        )

    def _dropped_backward(
        self, gx_NI: torch.Tensor | None, gh_NR: torch.Tensor, kept: Kept, owned: Owned
    ) -> None:
        """Every member has masked the input its own way."""
        assert kept.dropout is not None
        for member in self.members:
            gh, mask = gh_NR[:, member.middle], kept.dropout.mask(member.number, kept.x_NI)
            add_outer(self.a_grad[:, member.middle], gh, kept.x_NI * mask, owned)
            if gx_NI is not None:
                gx_NI += times_own(gh, self.a_KRI[:, member.middle], owned) * mask


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
