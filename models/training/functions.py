"""The parts of a layer with forward and backward, for weights that are trained.

Weights are fp32 and are cast to the dtype of what they are multiplied with; their gradients are
fp32. On a CPU, all that is not a matrix product is C++ (models/multilora/kernels.py), elsewhere
plain torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd import Function

from models.multilora import kernels


@dataclass(frozen=True)
class Turns:
    """What attention needs beside q, k and v: the episodes' starts, and the rotary embedding."""

    starts: torch.Tensor  # int32 [episodes + 1]
    cos: torch.Tensor  # [N, head width]
    sin: torch.Tensor


def linear(
    x_NI: torch.Tensor, weights: Sequence[torch.Tensor], onto: torch.Tensor | None = None
) -> torch.Tensor:
    """The outputs of layers with the same input, side by side, plus `onto`, the residual stream."""
    out_NO: torch.Tensor = _applied(_Linear, x_NI, onto, *weights)
    return out_NO


def norm(h_ND: torch.Tensor, layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The normed rows, and `h_ND` to continue with, so that one pass adds up both gradients."""
    both: tuple[torch.Tensor, torch.Tensor] = _applied(
        _Norm, h_ND, layer.weight, layer.variance_epsilon
    )
    return both


def attend(qkv_NO: torch.Tensor, turns: Turns, head: int, scale: float) -> torch.Tensor:
    """Causal attention inside each episode; overwrites `qkv_NO`."""
    attended: torch.Tensor = _applied(_Attend, qkv_NO, turns, head, scale)
    return attended


def swiglu(gate_up_NF: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up"""
    y_NF: torch.Tensor = _applied(_SwiGlu, gate_up_NF)
    return y_NF


def _applied(function: type[Function], *arguments: Any) -> Any:
    return function.apply(*arguments)  # type: ignore[no-untyped-call]


class _Linear(Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, onto: Any, *weights: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([weight.to(x.dtype) for weight in weights])
        ctx.save_for_backward(x, joined)
        ctx.rows, ctx.dtype = [len(weight) for weight in weights], weights[0].dtype
        return x @ joined.t() if onto is None else torch.addmm(onto, x, joined.t())

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (g,) = grads
        x, joined = ctx.saved_tensors
        blame = (g.t() @ x).to(ctx.dtype)
        passed = g if ctx.needs_input_grad[1] else None
        return g @ joined, passed, *blame.split(ctx.rows)


class _Norm(Function):
    @staticmethod
    def forward(ctx: Any, h: torch.Tensor, weight: torch.Tensor, eps: float) -> Any:
        y, shrink = kernels.rms_norm(h, weight.to(h.dtype), eps)
        ctx.save_for_backward(h, weight, shrink)
        return y, h

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        g, passed = grads
        h, weight, shrink = ctx.saved_tensors
        gh = kernels.rms_norm_backward(g, h, weight.to(h.dtype), shrink, passed)
        return gh, kernels.rms_norm_weights(g, h, shrink).to(weight.dtype), None


class _Attend(Function):
    @staticmethod
    def forward(ctx: Any, qkv: torch.Tensor, turns: Turns, head: int, scale: float) -> torch.Tensor:
        q, k, v = _heads(qkv, head)
        kernels.rotate(q, turns.cos, turns.sin, back=False)
        kernels.rotate(k, turns.cos, turns.sin, back=False)
        out, mass = kernels.attention(q, k, v, turns.starts, scale)
        ctx.save_for_backward(qkv, out, mass)
        ctx.turns, ctx.head, ctx.scale = turns, head, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        qkv, out, mass = ctx.saved_tensors
        turns, g_qkv = ctx.turns, torch.empty_like(qkv)
        q, k, v = _heads(qkv, ctx.head)
        gq, gk, gv = _heads(g_qkv, ctx.head)
        kernels.attention_backward(
            grads[0].contiguous(), q, k, v, out, mass, turns.starts, ctx.scale, gq, gk, gv
        )
        kernels.rotate(gq, turns.cos, turns.sin, back=True)
        kernels.rotate(gk, turns.cos, turns.sin, back=True)
        return g_qkv, None, None, None


class _SwiGlu(Function):
    @staticmethod
    def forward(ctx: Any, gate_up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate_up)
        return kernels.swiglu(*gate_up.chunk(2, 1))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (gate_up,) = ctx.saved_tensors
        into = torch.empty_like(gate_up)
        kernels.swiglu_backward(grads[0], *gate_up.chunk(2, 1), *into.chunk(2, 1))
        return into


def _heads(qkv: torch.Tensor, head: int) -> list[torch.Tensor]:
    """q, k and v as [N, heads, width], views of one buffer."""
    return [part.view(len(qkv), -1, head) for part in qkv.chunk(3, 1)]
