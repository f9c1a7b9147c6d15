"""The forward of Llama-shaped models over packed tokens, for training adapters.

Computes what transformers computes, with the same modules and weights, on [N, width] tokens without
padding. Norm, rotary embedding and SwiGLU have hand-written backwards: the frozen weights want no
gradient, so little has to be kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from models.multilora.packed import Bucket, Packed

SHAPES = ("llama", "qwen2", "mistral")
LENGTH_DEPENDENT = ("dynamic", "longrope")  # a longer neighbour would change everyone's positions


def runs_packed(model: nn.Module) -> bool:
    """Whether this model's layers are the ones that are computed here: attention to all that came
    before, and positions that do not depend on what else is in the batch."""
    config: Any = model.config
    plain = config.model_type in SHAPES and config.hidden_act == "silu"
    windowed = getattr(config, "sliding_window", None) is not None
    rope = (config.rope_parameters or {}).get("rope_type", "default")
    return plain and not windowed and rope not in LENGTH_DEPENDENT


def packed_hidden(model: nn.Module, batch: Packed) -> torch.Tensor:
    """[N, width]: the last hidden state of every token."""
    decoder: Any = model.base_model
    h = decoder.embed_tokens(batch.ids)
    cos, sin = decoder.rotary_emb(h[None], batch.positions[None])
    for layer in decoder.layers:
        x = rms_norm(h, layer.input_layernorm)
        h = h + _attend(layer.self_attn, x, cos[0][:, None], sin[0][:, None], batch)
        x = rms_norm(h, layer.post_attention_layernorm)
        mlp = layer.mlp
        h = h + mlp.down_proj(_SwiGlu.apply(mlp.gate_proj(x), mlp.up_proj(x)))  # type: ignore[no-untyped-call]
    return rms_norm(h, decoder.norm)


def rms_norm(x: torch.Tensor, norm: Any) -> torch.Tensor:
    result: torch.Tensor = _RmsNorm.apply(x, norm.weight, norm.variance_epsilon)  # type: ignore[no-untyped-call]
    return result


def _attend(
    attention: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, batch: Packed
) -> torch.Tensor:
    width = attention.head_dim
    q = _Rotary.apply(attention.q_proj(x).view(len(x), -1, width), cos, sin)  # type: ignore[no-untyped-call]
    k = _Rotary.apply(attention.k_proj(x).view(len(x), -1, width), cos, sin)  # type: ignore[no-untyped-call]
    v = attention.v_proj(x).view(len(x), -1, width)
    parts = []
    for bucket in batch.buckets:
        rows_q, rows_k, rows_v = (
            _ToRows.apply(part, bucket)  # type: ignore[no-untyped-call]
            for part in (q, k, v)
        )
        shared = q.shape[1] != k.shape[1]  # several heads of q for one of k and v
        out = nn.functional.scaled_dot_product_attention(
            rows_q, rows_k, rows_v, is_causal=True, scale=attention.scaling, enable_gqa=shared
        )
        parts.append(out.transpose(1, 2).reshape(bucket.rows * bucket.width, -1))
    together = parts[0] if len(parts) == 1 else torch.cat(parts)
    out = _ToTokens.apply(together, batch)  # type: ignore[no-untyped-call]
    result: torch.Tensor = attention.o_proj(out)
    return result


class _ToRows(torch.autograd.Function):
    """Tokens [N, heads, width] -> [rows, heads, length, width] of one bucket."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, bucket: Bucket) -> torch.Tensor:
        ctx.bucket, ctx.shape = bucket, x.shape
        rows = x.index_select(0, bucket.index).view(bucket.rows, bucket.width, *x.shape[1:])
        return rows.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        # causal attention gives padding at the end no gradient; real tokens stand here once
        real = ctx.bucket.real
        flat = grads[0].transpose(1, 2).reshape(-1, *ctx.shape[1:])
        out = flat.new_zeros(ctx.shape)
        return out.index_copy_(0, ctx.bucket.index[real], flat.index_select(0, real)), None


class _ToTokens(torch.autograd.Function):
    """The buckets' rows laid end to end -> tokens [N, width]."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, batch: Packed) -> torch.Tensor:
        ctx.batch = batch
        return rows.index_select(0, batch.back)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        parts = [
            grads[0].index_select(0, bucket.index).masked_fill_(bucket.padding, 0.0)
            for bucket in ctx.batch.buckets
        ]
        return torch.cat(parts), None


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        shrink = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, shrink, weight)
        return weight * (wide * shrink).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        x, shrink, weight = ctx.saved_tensors
        g = (grads[0] * weight).to(shrink.dtype)
        normed = x.to(shrink.dtype) * shrink
        along = (g * normed).mean(-1, keepdim=True)
        return ((g - normed * along) * shrink).to(x.dtype), None, None


class _Rotary(torch.autograd.Function):
    """Turns halves of [N, heads, width] against each other; backward turns the other way."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        cos, sin = ctx.saved_tensors
        return _turned(grads[0], cos, -sin), None, None


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


class _SwiGlu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return nn.functional.silu(gate) * up

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        gate, up = ctx.saved_tensors
        open_ = torch.sigmoid(gate)
        silu = gate * open_
        slope = open_ + silu * (1 - open_)
        return grads[0] * up * slope, grads[0] * silu
