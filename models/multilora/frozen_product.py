"""The frozen product of layers that read the same input, as one matrix where weights can be fused.

The layers' own parameters become views of that matrix with the same values, so there is no second
copy. Layers packed in 4 bits are decoded one by one at every use. A frozen adapter that lies under
the slots' adapters is added here, because to them it is a part of the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import nn

from models.frozen_linear import FrozenLinear, dense_weight, is_resident
from models.multilora.under import LowRank


class FrozenProduct:
    def __init__(
        self, linears: Sequence[FrozenLinear], under: Sequence[LowRank | None] = ()
    ) -> None:
        self.linears = list(linears)
        self.widths = [linear.out_features for linear in linears]
        self.under = [
            (slice(end - width, end), one)
            for end, width, one in zip(accumulate(self.widths), self.widths, under, strict=False)
            if one is not None
        ]
        self.weight = fused_weight(linears)
        self.bias = _joined_bias(linears)

    def forward(self, x_NI: torch.Tensor, onto: torch.Tensor | None = None) -> torch.Tensor:
        """The product, plus `onto`, the residual stream."""
        out = self._weights_forward(x_NI, onto)
        for columns, one in self.under:
            one.add(out[:, columns], x_NI)
        return out

    def backward(self, g_NO: torch.Tensor) -> torch.Tensor:
        """The gradient of the input."""
        out = self._weights_backward(g_NO)
        for columns, one in self.under:
            one.add_backward(out, g_NO[:, columns])
        return out

    def _weights_forward(self, x_NI: torch.Tensor, onto: torch.Tensor | None) -> torch.Tensor:
        if self.weight is not None and onto is not None and self.bias is None:
            return torch.addmm(onto, x_NI, self.weight.t())
        if self.weight is not None:
            out = nn.functional.linear(x_NI, self.weight, self.bias)
        else:
            parts = [nn.functional.linear(x_NI, dense_weight(one)) for one in self.linears]
            out = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
            out = out if self.bias is None else out.add_(self.bias)
        return out if onto is None else out.add_(onto)

    def _weights_backward(self, g_NO: torch.Tensor) -> torch.Tensor:
        if self.weight is not None:
            return g_NO @ self.weight
        parts = torch.split(g_NO, self.widths, dim=1)
        out = parts[0] @ dense_weight(self.linears[0])
        for g, linear in zip(parts[1:], self.linears[1:], strict=True):
            out.addmm_(g, dense_weight(linear))
        return out


def fused_weight(linears: Sequence[FrozenLinear]) -> torch.Tensor | None:
    """[sum of outputs, inputs]; None where a weight is not a plain tensor in memory, or where
    dtypes or devices differ."""
    if not all(is_resident(linear) for linear in linears):
        return None
    weights = [dense_weight(linear) for linear in linears]
    if len(weights) == 1:
        return weights[0]
    return _neighbours(weights) if _stand_together(weights) else _put_together(linears, weights)


def _stand_together(weights: Sequence[torch.Tensor]) -> bool:
    where = weights[0].data_ptr()
    for weight in weights:
        same = weight.untyped_storage().data_ptr() == weights[0].untyped_storage().data_ptr()
        if not same or weight.data_ptr() != where or not weight.is_contiguous():
            return False
        where += weight.numel() * weight.element_size()
    return True


def _neighbours(weights: Sequence[torch.Tensor]) -> torch.Tensor:
    rows = sum(len(weight) for weight in weights)
    return weights[0].as_strided((rows, weights[0].shape[1]), (weights[0].shape[1], 1))


@torch.no_grad()
def _put_together(
    linears: Sequence[FrozenLinear], weights: Sequence[torch.Tensor]
) -> torch.Tensor | None:
    if len({(w.dtype, w.device) for w in weights}) > 1:
        return None
    together = torch.cat([weight.detach() for weight in weights])
    at = 0
    for linear, weight in zip(linears, weights, strict=True):
        linear.weight.data = together[at : at + len(weight)]
        at += len(weight)
    return together


def _joined_bias(linears: Sequence[FrozenLinear]) -> torch.Tensor | None:
    if all(linear.bias is None for linear in linears):
        return None
    like = linears[0].weight
    zeros = [torch.zeros(one.out_features, dtype=like.dtype, device=like.device) for one in linears]
    return torch.cat(
        [zero if one.bias is None else one.bias for one, zero in zip(linears, zeros, strict=True)]
    )
