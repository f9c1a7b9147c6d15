"""Attention of stretches to the one stretch that stands before them all, joined to what each
attends to within itself.

Both are softmaxes over a part of the same scores; the logs of their sums say what part each is of
the whole. So nothing before is copied for every stretch, and nothing is masked.
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
    """[N, H * D], from `within_NW` and `lse_NH` (kernels.attention); `before`: keys and values,
    [1, G, length, D]."""
    tokens, heads, width = q_NHD.shape
    groups = heads // before[0].shape[1]
    keys, values = (x if groups == 1 else x.repeat_interleave(groups, 1) for x in before)
    far_1HND, lse_1HN = _attention(q_NHD.transpose(0, 1)[None], keys, values, scale=scale)
    share = torch.sigmoid(lse_1HN[0].T - lse_NH)[..., None].to(q_NHD.dtype)
    within = within_NW.view(tokens, heads, width)
    return torch.lerp(within, far_1HND[0].transpose(0, 1), share).reshape(tokens, -1)
