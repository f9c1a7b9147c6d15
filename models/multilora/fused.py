"""Weights of layers that read the same input, as one matrix, without a second copy of them.

The layers' own parameters become views of that matrix, with the values they had.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from models.frozen_linear import FrozenLinear, dense_weight, is_resident


def fused_weight(linears: Sequence[FrozenLinear]) -> torch.Tensor | None:
    """[sum of outputs, inputs]; None where the layers' weights are not plain tensors at hand."""
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
