"""Adds attention to a shared first stretch to the attention of other stretches within themselves.

Each of the two is a softmax over a part of the same scores; the logarithms of their sums tell each
part's share of the whole. So keys of the shared stretch are not copied for every other stretch, and
no mask is needed.
"""

from __future__ import annotations

import torch

_attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def joined(
    within_NW: torch.Tensor,
    lse_NH: torch.Tensor,
    q_NHD: torch.Tensor,
    before: tuple[torch.Tensor, torch.Tensor],
    scale: float,
) -> torch.Tensor:
    """The joint attention, [N, H * D]. `within_NW` and `lse_NH` are what kernels.attention returned
    for the stretches; `before` holds the shared keys and values, each [1, G, length, D]."""
    tokens, heads, width = q_NHD.shape
    groups = heads // before[0].shape[1]
    keys, values = (x if groups == 1 else x.repeat_interleave(groups, 1) for x in before)
    far_1HND, lse_1HN = _attention(q_NHD.transpose(0, 1)[None], keys, values, scale=scale)
    share = torch.sigmoid(lse_1HN[0].T - lse_NH)[..., None].to(q_NHD.dtype)
    within = within_NW.view(tokens, heads, width)
    return torch.lerp(within, far_1HND[0].transpose(0, 1), share).reshape(tokens, -1)
