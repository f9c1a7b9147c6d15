"""One frozen linear layer with the low-rank factors of K slots beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass
class Rows:
    """How the rows of the next forward belong to slots; 0 groups: the base alone."""

    scale_K: torch.Tensor
    anchor: torch.Tensor  # a scalar that wants a gradient, so that backward reaches every layer
    groups: int = 0
    slots: torch.Tensor | None = None  # None: all, in order


@dataclass
class Factors:
    """The stacked A and B of one layer, and where their gradients go: views of flat buffers."""

    a_KRI: torch.Tensor
    b_KOR: torch.Tensor
    a_grad: torch.Tensor
    b_grad: torch.Tensor


class BankedLinear(nn.Module):
    """`frozen(x) + scale * x A^T B^T`, with the A and B of the slot that each row belongs to.

    Rows come grouped by slot, equally many each, so that x is [G * rows, T, in] and every slot's
    product stands alone in one batched matrix product: no value crosses from slot to slot.
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
        x_GNI = x.reshape(self.rows.groups, -1, x.shape[-1])
        out_GNO = out.reshape(self.rows.groups, -1, out.shape[-1])
        added: torch.Tensor = _AddLowRank.apply(  # type: ignore[no-untyped-call]
            x_GNI, out_GNO, self.rows.anchor, self.factors, self.rows
        )
        return added.view(out.shape)


class _AddLowRank(torch.autograd.Function):
    """The product above; backward adds the factors' gradients to the flat buffers themselves,
    where leaves of autograd would each want memory and a kernel of their own."""

    @staticmethod
    def forward(
        ctx: Any,
        x_GNI: torch.Tensor,
        out_GNO: torch.Tensor,
        anchor: torch.Tensor,
        factors: Factors,
        rows: Rows,
    ) -> torch.Tensor:
        a, b, scale = factors.a_KRI, factors.b_KOR, rows.scale_K
        if rows.slots is not None:
            a, b, scale = a[rows.slots], b[rows.slots], scale[rows.slots]
        a, b, scale = a.to(x_GNI.dtype), b.to(x_GNI.dtype), scale.to(x_GNI.dtype)[:, None, None]
        h_GNR = torch.bmm(x_GNI, a.transpose(1, 2)).mul_(scale)
        ctx.save_for_backward(x_GNI, h_GNR, a, b, scale)
        ctx.factors = factors
        return torch.baddbmm(out_GNO, h_GNR, b.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (g_GNO,) = grads
        x_GNI, h_GNR, a, b, scale = ctx.saved_tensors
        g_GNR = torch.bmm(g_GNO, b).mul_(scale)
        ctx.factors.b_grad.add_(torch.bmm(g_GNO.transpose(1, 2), h_GNR))
        ctx.factors.a_grad.add_(torch.bmm(g_GNR.transpose(1, 2), x_GNI))
        g_GNI = torch.bmm(g_GNR, a) if ctx.needs_input_grad[0] else None
        return g_GNI, g_GNO if ctx.needs_input_grad[1] else None, None, None, None
