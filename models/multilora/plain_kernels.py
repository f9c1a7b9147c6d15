"""What kernels.py computes, in plain torch: for any device and any floating dtype.

Sums run in fp32 or in what is wider; results are rounded where transformers rounds them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch

QUERIES = 256  # rows of scores that attention holds at a time


def wide(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def rms_norm(
    x_ND: torch.Tensor, weight_D: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    x = wide(x_ND)
    shrink_N = torch.rsqrt(x.square().mean(-1) + eps)
    return weight_D * (x * shrink_N[:, None]).to(x_ND.dtype), shrink_N


def rms_norm_backward(
    g_ND: torch.Tensor,
    x_ND: torch.Tensor,
    weight_D: torch.Tensor,
    shrink_N: torch.Tensor,
    residual_ND: torch.Tensor | None,
) -> torch.Tensor:
    g, shrink = wide(g_ND) * wide(weight_D), shrink_N[:, None]
    normed = wide(x_ND) * shrink
    along = (g * normed).mean(-1, keepdim=True)
    gx = (g - normed * along) * shrink
    return (gx if residual_ND is None else gx + residual_ND).to(x_ND.dtype)


def rotate(x_NHW: torch.Tensor, cos_NW: torch.Tensor, sin_NW: torch.Tensor, back: bool) -> None:
    cos, sin = cos_NW[:, None], sin_NW[:, None]
    first, second = x_NHW.chunk(2, -1)
    turned = torch.cat((-second, first), -1) * (-sin if back else sin)
    x_NHW.copy_(x_NHW * cos + turned)


def attention(
    q_NHW: torch.Tensor,
    k_NGW: torch.Tensor,
    v_NGW: torch.Tensor,
    starts: torch.Tensor,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    out = torch.empty(q_NHW.shape, dtype=q_NHW.dtype, device=q_NHW.device)
    lse_NH = wide(out.new_empty(out.shape[:2]))
    for queries, keys in _blocks(starts):
        scores = _scores(q_NHW[queries], k_NGW[keys], scale)
        lse = scores.logsumexp(-1)
        shares = torch.exp(scores - lse[..., None])
        lse_NH[queries] = lse.flatten(0, 1).t()
        out[queries] = _by_token(shares @ _shared(v_NGW[keys])).to(out.dtype)
    return out.flatten(1), lse_NH


def attention_backward(
    g_out: torch.Tensor,
    q_NHW: torch.Tensor,
    k_NGW: torch.Tensor,
    v_NGW: torch.Tensor,
    out: torch.Tensor,
    lse_NH: torch.Tensor,
    starts: torch.Tensor,
    scale: float,
    gq_NHW: torch.Tensor,
    gk_NGW: torch.Tensor,
    gv_NGW: torch.Tensor,
) -> None:
    groups = k_NGW.shape[1]
    sum_k, sum_v = (wide(torch.zeros_like(x)) for x in (k_NGW, v_NGW))
    for queries, keys in _blocks(starts):
        k, v = _shared(k_NGW[keys]), _shared(v_NGW[keys])
        q = _grouped(q_NHW[queries], groups)
        g = _grouped(g_out[queries].view(q_NHW[queries].shape), groups)
        o = _grouped(out[queries].view(q_NHW[queries].shape), groups)
        lse = lse_NH[queries].t().reshape(groups, -1, len(q_NHW[queries]), 1)
        shares = torch.exp(_scores(q_NHW[queries], k_NGW[keys], scale) - lse)
        g_scores = shares * (g @ v.transpose(-1, -2) - (g * o).sum(-1, keepdim=True)) * scale
        gq_NHW[queries] = _by_token(g_scores @ k).to(gq_NHW.dtype)
        sum_k[keys] += (g_scores.transpose(-1, -2) @ q).sum(1).transpose(0, 1)
        sum_v[keys] += (shares.transpose(-1, -2) @ g).sum(1).transpose(0, 1)
    gk_NGW.copy_(sum_k)
    gv_NGW.copy_(sum_v)


def _blocks(starts: torch.Tensor) -> Iterator[tuple[slice, slice]]:
    """Some queries of one item, and all keys that the last of them sees."""
    offsets = starts.tolist()
    for start, end in pairwise(offsets):
        for first in range(start, end, QUERIES):
            last = min(first + QUERIES, end)
            yield slice(first, last), slice(start, last)


def _scores(q_IHW: torch.Tensor, k_JGW: torch.Tensor, scale: float) -> torch.Tensor:
    """[G, H / G, I, J]; the last query sees the last key, those before it see fewer."""
    q, k = _grouped(q_IHW, k_JGW.shape[1]), _shared(k_JGW)
    scores = (q @ k.transpose(-1, -2)) * scale
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device)
    hidden = hidden.triu(1 + scores.shape[-1] - scores.shape[-2])
    return scores.masked_fill_(hidden, -torch.inf)


def _grouped(x_IHW: torch.Tensor, groups: int) -> torch.Tensor:
    """[G, H / G, I, W]"""
    tokens, heads, width = x_IHW.shape
    return wide(x_IHW).transpose(0, 1).reshape(groups, heads // groups, tokens, width)


def _shared(x_JGW: torch.Tensor) -> torch.Tensor:
    """[G, 1, J, W]: the one head of k or v for its group's heads of q."""
    return wide(x_JGW).transpose(0, 1)[:, None]


def _by_token(x_GHIW: torch.Tensor) -> torch.Tensor:
    return x_GHIW.flatten(0, 1).transpose(0, 1)


def swiglu(gate_NF: torch.Tensor, up_NF: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.silu(gate_NF) * up_NF


def swiglu_backward(
    g_NF: torch.Tensor,
    gate_NF: torch.Tensor,
    up_NF: torch.Tensor,
    into_gate: torch.Tensor,
    into_up: torch.Tensor,
) -> None:
    g, gate, up = wide(g_NF), wide(gate_NF), wide(up_NF)
    opened = torch.sigmoid(gate)
    silu = gate * opened
    into_gate.copy_(g * up * (opened + silu * (1 - opened)))
    into_up.copy_(g * silu)


@torch.no_grad()
def adamw_rows(
    values_KP: torch.Tensor,
    grads_KP: torch.Tensor,
    first_KP: torch.Tensor,
    second_KP: torch.Tensor,
    *,
    rate_K: torch.Tensor,
    decay_K: torch.Tensor,
    clip_K: torch.Tensor,
    count_K: torch.Tensor,
    moving_K: torch.Tensor,
    betas: tuple[float, float],
    eps: float,
) -> list[bool]:
    norm_K = torch.linalg.vector_norm(grads_KP, dim=1)
    moving_K = moving_K & torch.isfinite(norm_K)
    column = moving_K[:, None]
    shrink_K = torch.clamp(clip_K / (norm_K + 1e-6), max=1.0)
    # NaN times zero is NaN, so rows that stand still are replaced, not scaled away
    grads = torch.where(column, grads_KP * shrink_K[:, None], 0.0)
    count_K += moving_K
    _toward(first_KP, grads, 1 - betas[0], column)
    _toward(second_KP, grads.square_(), 1 - betas[1], column)
    counted = count_K.clamp(min=1.0)
    bias1, bias2 = (-torch.expm1(counted * math.log(beta)) for beta in betas)  # 1 - beta^count
    rate_K = torch.where(moving_K, rate_K, 0.0)
    change = (second_KP / bias2[:, None]).sqrt_().add_(eps)
    change = (first_KP / bias1[:, None]).div_(change)
    moved = values_KP * (1 - (rate_K * decay_K)[:, None]) - change.mul_(rate_K[:, None])
    values_KP.copy_(torch.where(column, moved, values_KP))
    still: list[bool] = moving_K.tolist()
    return still


def _toward(state: torch.Tensor, target: torch.Tensor, share: float, moving: torch.Tensor) -> None:
    state.copy_(torch.where(moving, torch.lerp(state, target, share), state))


@torch.no_grad()
def cast_rows(
    values_KP: torch.Tensor, work_KP: torch.Tensor, scaled_from: int, scale_K: torch.Tensor
) -> None:
    work_KP[:, :scaled_from] = values_KP[:, :scaled_from]
    work_KP[:, scaled_from:] = values_KP[:, scaled_from:] * scale_K[:, None]
