"""What the engine needs from a frozen linear layer, in whatever form its weight is kept.

Every such layer has `in_features`, `out_features`, `bias`, and a `weight` with the right shape,
dtype and device; the weight's values come from `dense_weight` alone.
"""

from __future__ import annotations

from typing import TypeGuard

from torch import Tensor, nn

from models.packed_linear import PackedLinear

FrozenLinear = nn.Linear | PackedLinear


def is_frozen_linear(module: nn.Module) -> TypeGuard[FrozenLinear]:
    """Whether an adapter can stand beside the module. Layers that other libraries quantized, whose
    weights are bytes, are refused."""
    if isinstance(module, PackedLinear):
        return True
    return isinstance(module, nn.Linear) and module.weight.is_floating_point()


def is_resident(linear: FrozenLinear) -> bool:
    """Whether `dense_weight` costs nothing and gives the same tensor each time."""
    return isinstance(linear, nn.Linear)


def dense_weight(linear: FrozenLinear) -> Tensor:
    """The weight [out, in] in the layer's dtype; a packed one is decoded anew at each call."""
    return linear.dense() if isinstance(linear, PackedLinear) else linear.weight
