"""One frozen linear layer with the low-rank factors of K slots beside it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import nn


@dataclass
class Rows:
    """How the tokens of the next forward belong to slots: sorted by slot, `ends` says where each
    slot's tokens end, or `counts` how many of the forward's rows are its own; equal parts where
    both are empty. 0 groups: the base alone."""

    scale_K: torch.Tensor
    anchor: torch.Tensor  # a scalar that wants a gradient, so that backward reaches every layer
    groups: int = 0
    ends: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()

    def of(self, x: torch.Tensor) -> Rows:
        """With `ends` in tokens, for this input of [rows, ..., width]."""
        if not self.counts:
            return self
        tokens = x.numel() // x.shape[-1] // x.shape[0]
        ends = tuple(tokens * end for end in accumulate(self.counts))
        return Rows(self.scale_K, self.anchor, self.groups, ends)


@dataclass
class Factors:
    """The stacked A and B of one layer, and where their gradients go: views of flat buffers."""

    a_KRI: torch.Tensor
    b_KOR: torch.Tensor
    a_grad: torch.Tensor
    b_grad: torch.Tensor


class BankedLinear(nn.Module):
    """`frozen(x) + scale * x A^T B^T`, with the A and B of the slot that each token belongs to.

    The frozen product is one over all tokens; the slots' products stand alone, each over its own
    tokens, so that no value crosses from slot to slot.
    """

    def __init__(self, frozen: nn.Linear, factors: Factors, rows: Rows) -> None:
        super().__init__()
        self.frozen, self.factors, self.rows = frozen, factors, rows

    @property
    def weight(self) -> torch.Tensor:  # models ask it for dtype and device
        return self.frozen.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.frozen(x)
        if self.rows.groups == 0:
            return out
        x_NI, out_NO = x.reshape(-1, x.shape[-1]), out.reshape(-1, out.shape[-1])
        added: torch.Tensor = _AddLowRank.apply(  # type: ignore[no-untyped-call]
            x_NI, out_NO, self.rows.anchor, self.factors, self.rows.of(x)
        )
        return added.view(out.shape)


class _AddLowRank(torch.autograd.Function):
    """The product above; backward adds the factors' gradients to the flat buffers themselves,
    where leaves of autograd would each want memory and a kernel of their own."""

    @staticmethod
    def forward(
        ctx: Any,
        x_NI: torch.Tensor,
        out_NO: torch.Tensor,
        anchor: torch.Tensor,
        factors: Factors,
        rows: Rows,
    ) -> torch.Tensor:
        a, b, scale = factors.a_KRI, factors.b_KOR, rows.scale_K
        # the scale goes into B, the smallest place for it
        a, b = a.to(x_NI.dtype), (b * scale[:, None, None]).to(x_NI.dtype)
        h_NR = times_own(x_NI, a.transpose(1, 2), rows)
        ctx.save_for_backward(x_NI, h_NR, a, b)
        ctx.factors, ctx.rows, ctx.ends = factors, rows, rows.ends
        ctx.scale = scale
        return times_own(h_NR, b.transpose(1, 2), rows, added_to=out_NO)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (g_NO,) = grads
        x_NI, h_NR, a, b = ctx.saved_tensors
        rows = Rows(ctx.scale, ctx.rows.anchor, len(a), ctx.ends)
        g_NR = times_own(g_NO, b, rows)
        add_outer(ctx.factors.b_grad, g_NO, h_NR, rows, ctx.scale)
        add_outer(ctx.factors.a_grad, g_NR, x_NI, rows)
        g_NI = times_own(g_NR, a, rows) if ctx.needs_input_grad[0] else None
        return g_NI, g_NO if ctx.needs_input_grad[1] else None, None, None, None


def times_own(
    x_NI: torch.Tensor, w_KIO: torch.Tensor, rows: Rows, added_to: torch.Tensor | None = None
) -> torch.Tensor:
    """Every slot's tokens times that slot's matrix."""
    if not rows.ends:
        x_KNI = x_NI.view(rows.groups, -1, x_NI.shape[-1])
        if added_to is None:
            return torch.bmm(x_KNI, w_KIO).view(x_NI.shape[0], -1)
        onto = added_to.view(rows.groups, -1, added_to.shape[-1])
        return torch.baddbmm(onto, x_KNI, w_KIO).view(added_to.shape)
    out = x_NI.new_empty(x_NI.shape[0], w_KIO.shape[-1])
    start = 0
    for slot, end in enumerate(rows.ends):
        part = out[start:end]
        if added_to is None:
            torch.mm(x_NI[start:end], w_KIO[slot], out=part)
        else:
            torch.addmm(added_to[start:end], x_NI[start:end], w_KIO[slot], out=part)
        start = end
    return out


def add_outer(
    total_KOI: torch.Tensor,
    g_NO: torch.Tensor,
    x_NI: torch.Tensor,
    rows: Rows,
    scale_K: torch.Tensor | None = None,
) -> None:
    """Add every slot's `g^T x` over its own tokens to its part of the total."""
    if not rows.ends:
        g_KON = g_NO.view(rows.groups, -1, g_NO.shape[-1]).transpose(1, 2)
        product = torch.bmm(g_KON, x_NI.view(rows.groups, -1, x_NI.shape[-1]))
        if scale_K is not None:
            product = product * scale_K[:, None, None]
        total_KOI.add_(product)
        return
    start = 0
    for slot, end in enumerate(rows.ends):
        product = torch.mm(g_NO[start:end].t(), x_NI[start:end])
        total_KOI[slot].add_(product, alpha=1.0 if scale_K is None else float(scale_K[slot]))
        start = end
