"""A frozen linear layer that holds its weight as 4-bit codes and decodes them at every use."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.bnb_decode import quickest_decode
from models.nf4 import Coded, CodedScales, encode


class PackedLinear(nn.Module):
    """`x W^T + b` with W in NF4. Only x gets a gradient. The backward decodes W again, so that no
    dense weight is kept between forward and backward."""

    packed: Tensor
    scale_codes: Tensor
    scale_scales: Tensor
    scale_mean: Tensor
    bias: nn.Parameter | None

    def __init__(self, coded: Coded, bias: Tensor | None = None) -> None:
        super().__init__()
        if not isinstance(coded.scales, CodedScales):
            raise ValueError("a packed layer has its scales coded too: encode(weight, double=True)")
        self.out_features, self.in_features = coded.shape
        self.dtype = coded.dtype  # of the decoded weight
        self.register_buffer("packed", coded.packed)
        self.register_buffer("scale_codes", coded.scales.codes)
        self.register_buffer("scale_scales", coded.scales.scales)
        self.register_buffer("scale_mean", coded.scales.mean)
        frozen = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.register_parameter("bias", frozen)

    @classmethod
    def of(cls, linear: nn.Linear) -> PackedLinear:
        return cls(encode(linear.weight), linear.bias)

    @property
    def weight(self) -> Tensor:
        """A stand-in from which models read shape, dtype and device. Its values are NaN and take no
        memory; the weight itself is `dense()`."""
        nothing = torch.full((), torch.nan, dtype=self.dtype, device=self.packed.device)
        return nothing.expand(self.out_features, self.in_features)

    def dense(self) -> Tensor:
        scales = CodedScales(self.scale_codes, self.scale_scales, self.scale_mean)
        shape = torch.Size((self.out_features, self.in_features))
        coded = Coded(self.packed, scales, shape, self.dtype)
        return quickest_decode(self.packed.device, self.dtype)(coded)

    def forward(self, x: Tensor) -> Tensor:
        product: Tensor = _TimesPacked.apply(x, self)  # type: ignore[no-untyped-call]
        return product

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, {self.dtype}"

    def _apply(self, fn: Any, recurse: bool = True) -> PackedLinear:
        """Moves between devices but keeps the dtype: another one would change the weight."""
        return super()._apply(lambda t: t.to(fn(t.new_empty(0)).device), recurse)  # type: ignore[no-any-return, no-untyped-call]


class _TimesPacked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: PackedLinear) -> Tensor:
        ctx.layer = layer
        return nn.functional.linear(x, layer.dense(), layer.bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0] @ ctx.layer.dense(), None
