"""Frozen layers with the adapters of K slots beside them, for use in the model's own forward.

Causal LMs that are not Llama-shaped are trained through these modules and autograd, and compute
what the packed engine computes for Llama-shaped ones. Decoding uses the modules too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from models.frozen_linear import FrozenLinear
from models.multilora.dropout import Dropout
from models.multilora.flat import FlatLayout
from models.multilora.owned import Owned
from models.multilora.owned_products import add_outer_own, add_times_own, times_own
from models.multilora.sites import Buffers, Site

ALL = slice(None)


@dataclass
class Rows:
    """How many rows of the next forward belong to each slot; rows are in the slots' order."""

    slots: int
    anchor: torch.Tensor  # a scalar that requires a gradient, so that backward reaches every layer
    scale_K: torch.Tensor
    active: bool = False  # False: the base alone computes
    counts: tuple[int, ...] = ()  # rows of each slot; empty: equally many of each
    dropout: Dropout | None = None

    def owned(self, rows: int, tokens: int) -> Owned:
        return _owned(self.counts or (rows // self.slots,) * self.slots, tokens)


@lru_cache(maxsize=64)
def _owned(counts: tuple[int, ...], tokens: int) -> Owned:
    return Owned.counted([count * tokens for count in counts])


@dataclass(frozen=True)
class Factors:
    """The stacked A and B of one layer, unscaled: views of the bank's flat values."""

    a_KRI: torch.Tensor
    b_KOR: torch.Tensor

    def of(self, slot: int, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.a_KRI[slot, :rank], self.b_KOR[slot, :, :rank]

    def slots(self, some: slice) -> Factors:
        return Factors(self.a_KRI[some], self.b_KOR[some])


class BankedLinear(nn.Module):
    """`frozen(x) + scale * x A^T B^T`, with the A and B of each token's slot."""

    def __init__(
        self, frozen: FrozenLinear, name: str, buffers: Buffers, factors: Factors, rows: Rows
    ) -> None:
        super().__init__()
        self.frozen, self.factors, self.rows = frozen, factors, rows
        self.site = Site([frozen], [name], buffers)

    @property
    def weight(self) -> torch.Tensor:  # models read its dtype and device
        return self.frozen.weight

    def beside(self, slots: slice = ALL) -> Factors:
        """The factors of these slots as they stand beside the frozen layer."""
        return self.factors.slots(slots)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.rows.active:
            plain: torch.Tensor = self.frozen(x)
            return plain
        owned = self.rows.owned(x.shape[0], x[0, ..., 0].numel())
        x_NI = x.reshape(-1, x.shape[-1])
        if torch.is_grad_enabled():
            out: torch.Tensor = _ThroughSite.apply(  # type: ignore[no-untyped-call]
                x_NI, self.rows.anchor, self.site, owned, self.rows.dropout
            )
        else:
            out, _ = self.site.forward(x_NI, owned, dropout=self.rows.dropout)
        return out.view(*x.shape[:-1], -1)


class BankedEmbedding(nn.Module):
    """`frozen(ids) + scale * A[ids] B^T`, with the A and B of each token's slot."""

    def __init__(
        self, frozen: nn.Embedding, name: str, buffers: Buffers, factors: Factors, rows: Rows
    ) -> None:
        super().__init__()
        self.frozen, self.factors, self.rows = frozen, factors, rows
        self.site = EmbeddingSite(frozen, name, buffers)

    @property
    def weight(self) -> torch.Tensor:
        return self.frozen.weight

    def beside(self, slots: slice = ALL) -> Factors:
        return self.factors.slots(slots)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        if not self.rows.active:
            plain: torch.Tensor = self.frozen(ids)
            return plain
        owned = self.rows.owned(ids.shape[0], ids[0].numel())
        if torch.is_grad_enabled():
            out: torch.Tensor = _ThroughEmbedding.apply(  # type: ignore[no-untyped-call]
                ids.reshape(-1), self.rows.anchor, self.site, owned
            )
        else:
            out, _ = self.site.forward(ids.reshape(-1), owned)
        return out.view(*ids.shape, -1)


class EmbeddingSite:
    def __init__(self, frozen: nn.Embedding, name: str, buffers: Buffers) -> None:
        self.weight, flat, self.under = frozen.weight, buffers.flat, buffers.under.get(name)
        self.adapted = name in flat.shapes
        if self.adapted:
            self.a_KVR, self.a_grad = _both(flat.a_KVR, buffers, name)
            self.b_KRO, self.b_grad = _both(flat.b_KRO, buffers, name)

    def forward(
        self, ids_N: torch.Tensor, owned: Owned
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        out = nn.functional.embedding(ids_N, self.weight)
        if self.under is not None:
            self.under.add_rows(out, ids_N)
        if not self.adapted:
            return out, None
        a_NR = out.new_empty(len(ids_N), self.a_KVR.shape[-1])
        for slot, start, end in owned.spans:
            torch.index_select(self.a_KVR[slot], 0, ids_N[start:end], out=a_NR[start:end])
        add_times_own(out, a_NR, self.b_KRO, owned)
        return out, a_NR

    def backward(
        self, g_ND: torch.Tensor, ids_N: torch.Tensor, a_NR: torch.Tensor, owned: Owned
    ) -> None:
        add_outer_own(self.b_grad, a_NR, g_ND, owned)
        g_NR = times_own(g_ND, self.b_KRO, owned).to(self.a_grad.dtype)
        for slot, start, end in owned.spans:
            self.a_grad[slot].index_add_(0, ids_N[start:end], g_NR[start:end])


def _both(of: Any, buffers: Buffers, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    return of(buffers.work_KP, name), of(buffers.grads_KP, name)


def factors_of(flat: FlatLayout, values_KP: torch.Tensor, name: str) -> Factors:
    if flat.shapes[name].is_embedding:
        a_KRI = flat.a_KVR(values_KP, name).transpose(1, 2)
    else:
        a_KRI = flat.a_KRI(values_KP, [name])
    return Factors(a_KRI, flat.b_KRO(values_KP, name).transpose(1, 2))


class _ThroughSite(torch.autograd.Function):
    """A site's own forward and backward as one autograd function. Gradients of the factors go to
    the flat buffers; as autograd leaves, each would need memory and a kernel of its own."""

    @staticmethod
    def forward(
        ctx: Any,
        x_NI: torch.Tensor,
        anchor: torch.Tensor,
        site: Site,
        owned: Owned,
        dropout: Dropout | None,
    ) -> torch.Tensor:
        out, kept = site.forward(x_NI, owned, dropout=dropout)
        ctx.site, ctx.kept, ctx.owned = site, kept, owned
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        wanted = ctx.needs_input_grad[0]
        g = ctx.site.backward(grads[0].contiguous(), ctx.kept, ctx.owned, input_wanted=wanted)
        return g, None, None, None, None


class _ThroughEmbedding(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, ids_N: torch.Tensor, anchor: torch.Tensor, site: EmbeddingSite, owned: Owned
    ) -> torch.Tensor:
        out, middle = site.forward(ids_N, owned)
        ctx.site, ctx.ids, ctx.middle, ctx.owned = site, ids_N, middle, owned
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        ctx.site.backward(grads[0].contiguous(), ctx.ids, ctx.middle, ctx.owned)
        return None, None, None, None
