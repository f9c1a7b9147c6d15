"""The functions of kernels.py in plain torch, for any device and any floating dtype.

Sums are computed in fp32 or wider; results are rounded where transformers rounds them.
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch.utils.weak import WeakTensorKeyDictionary


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


def rms_norm_weights(
    g_ND: torch.Tensor, x_ND: torch.Tensor, shrink_N: torch.Tensor
) -> torch.Tensor:
    return (wide(g_ND) * (wide(x_ND) * shrink_N[:, None])).sum(0)


def rotate(x_NHW: torch.Tensor, cos_NW: torch.Tensor, sin_NW: torch.Tensor, back: bool) -> None:
    cos, sin = cos_NW[:, None], sin_NW[:, None]
    first, second = x_NHW.chunk(2, -1)
    turned = torch.cat((-second, first), -1) * (-sin if back else sin)
    x_NHW.copy_(x_NHW * cos + turned)


@dataclass(frozen=True)
class Bucket:
    """Items of similar length as the rows of a rectangle. A short item is filled up by repeating
    its last token, behind all its real tokens, which therefore do not attend to it."""

    index_RT: torch.Tensor  # which token stands at each place of the rectangle
    tokens: torch.Tensor  # the real tokens
    places: torch.Tensor  # their places in the flattened rectangle

    @classmethod
    def of(cls, items: Sequence[tuple[int, int]], device: torch.device) -> Bucket:
        longest = max(end - start for start, end in items)
        steps = torch.arange(longest)
        start_R, end_R = torch.tensor(items).t()[..., None]
        index_RT = start_R + steps
        places = (index_RT < end_R).flatten().nonzero()[:, 0]
        index_RT = index_RT.minimum(end_R - 1)
        tokens = index_RT.flatten()[places]
        return cls(index_RT.to(device), tokens.to(device), places.to(device))

    def rows(self, x_NHW: torch.Tensor) -> torch.Tensor:
        return x_NHW[self.index_RT].transpose(1, 2)

    def spread(self, x_NHW: torch.Tensor) -> torch.Tensor:
        """The tokens as rows, with zeros in the padding."""
        rows = x_NHW.new_zeros(self.index_RT.numel(), *x_NHW.shape[1:])
        rows[self.places] = x_NHW[self.tokens]
        return rows.view(*self.index_RT.shape, *x_NHW.shape[1:]).transpose(1, 2)

    def put(self, into_NHW: torch.Tensor, rows_RHTW: torch.Tensor) -> None:
        into_NHW[self.tokens] = rows_RHTW.transpose(1, 2).flatten(0, 1)[self.places]


_buckets_of: MutableMapping[torch.Tensor, list[Bucket]] = WeakTensorKeyDictionary()


def buckets_of(starts: torch.Tensor) -> list[Bucket]:
    """The items in buckets that fill no row up to more than twice its length. They are cached as
    long as the tensor `starts` lives, since every layer asks for them."""
    if (known := _buckets_of.get(starts)) is None:
        items = [(start, end) for start, end in pairwise(starts.tolist()) if end > start]
        items.sort(key=lambda item: item[0] - item[1])
        groups: list[list[tuple[int, int]]] = []
        for start, end in items:
            if not groups or 2 * (end - start) < groups[-1][0][1] - groups[-1][0][0]:
                groups.append([])
            groups[-1].append((start, end))
        known = _buckets_of[starts] = [Bucket.of(group, starts.device) for group in groups]
    return known


def attention(
    q_NHW: torch.Tensor,
    k_NGW: torch.Tensor,
    v_NGW: torch.Tensor,
    starts: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    out = torch.empty(q_NHW.shape, dtype=q_NHW.dtype, device=q_NHW.device)
    for bucket in buckets_of(starts):
        q, k, v = (bucket.rows(x) for x in (q_NHW, k_NGW, v_NGW))
        bucket.put(out, _causal(q, k, v, scale))
    return out.flatten(1)


def attention_backward(
    g_out: torch.Tensor,
    q_NHW: torch.Tensor,
    k_NGW: torch.Tensor,
    v_NGW: torch.Tensor,
    starts: torch.Tensor,
    scale: float,
    gq_NHW: torch.Tensor,
    gk_NGW: torch.Tensor,
    gv_NGW: torch.Tensor,
) -> None:
    for bucket in buckets_of(starts):
        q, k, v = (bucket.rows(x).requires_grad_() for x in (q_NHW, k_NGW, v_NGW))
        with torch.enable_grad():
            out = _causal(q, k, v, scale)
        grads = torch.autograd.grad(out, (q, k, v), bucket.spread(g_out.view(q_NHW.shape)))
        for into, grad in zip((gq_NHW, gk_NGW, gv_NGW), grads, strict=True):
            bucket.put(into, grad)


def _causal(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    return torch.nn.functional.scaled_dot_product_attention(
        q, k, v, is_causal=True, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
    )


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
    # NaN times zero is NaN, so gradients of rows that do not move are replaced, not multiplied
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
