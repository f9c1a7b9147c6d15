"""One frozen linear layer with the low-rank factors of K slots beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from models.multilora.bank import Rows


class BankedLinear(nn.Module):
    """`frozen(x) + scale * x A^T B^T`, with the A and B of the slot that each row belongs to.

    Rows come grouped by slot, equally many each, so that x is [G * rows, T, in] and every slot's
    product stands alone in one batched matrix product: no value crosses from slot to slot.
    """

    def __init__(
        self, frozen: nn.Linear, a_KRI: nn.Parameter, b_KOR: nn.Parameter, rows: Rows
    ) -> None:
        super().__init__()
        self.frozen, self.a_KRI, self.b_KOR, self.rows = frozen, a_KRI, b_KOR, rows

    @property
    def weight(self) -> torch.Tensor:  # models ask it for dtype and device
        return self.frozen.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.frozen(x)
        if self.rows.groups == 0:
            return torch.as_tensor(out)
        a, b, scale = self.a_KRI, self.b_KOR, self.rows.scale_K
        if self.rows.slots is not None:
            a, b, scale = a[self.rows.slots], b[self.rows.slots], scale[self.rows.slots]
        x_GNI = x.reshape(self.rows.groups, -1, x.shape[-1])
        h_GNR = torch.bmm(x_GNI, a.to(x.dtype).transpose(1, 2)) * scale.to(x.dtype)[:, None, None]
        out_GNO = out.reshape(self.rows.groups, -1, out.shape[-1])
        return torch.baddbmm(out_GNO, h_GNR, b.to(x.dtype).transpose(1, 2)).view(out.shape)
