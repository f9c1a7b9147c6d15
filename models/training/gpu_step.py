"""Losses and gradients on a GPU, with what lies between two attentions compiled to few kernels.

Every line is filled up to one length, so there is one shape to compile for, and layers of equal
shapes share the compiled code. Nothing here waits for the GPU, so the next step is prepared while
it computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, silu

from arc.formats import IGNORED, Encoded
from models.training.line import TOGETHER, some_together
from models.training.packed_llama import embedded


@dataclass(frozen=True)
class Full:
    """A line of N tokens. Its last tokens are fillers: episodes of their own without labels."""

    ids_N: torch.Tensor
    positions_N: torch.Tensor
    targets_N: torch.Tensor  # the next token where that is labelled, else IGNORED
    starts: torch.Tensor  # int32 [episodes + 1] where each episode's tokens start
    counted: int  # labelled tokens

    @classmethod
    def of(cls, rows: Sequence[Encoded], length: int, longest: int, device: torch.device) -> Full:
        ends = np.cumsum([len(row) for row in rows])
        ids, positions, targets = (np.zeros(length, np.int64) for _ in range(3))
        np.concatenate([row.ids for row in rows], out=ids[: ends[-1]])
        np.concatenate([row.positions for row in rows], out=positions[: ends[-1]])
        np.concatenate([row.labels for row in rows], out=targets[: ends[-1]])
        targets[np.concatenate([[0], ends])] = targets[ends[-1] :] = IGNORED
        targets = np.roll(targets, -1)
        fillers = np.arange(ends[-1], length, longest)
        starts = np.concatenate([[0], ends[:-1], fillers, [length]]).astype(np.int32)
        return cls(
            ids_N=_on(ids, device),
            positions_N=_on(positions, device),
            targets_N=_on(targets, device),
            starts=_on(starts, device),
            counted=int((targets != IGNORED).sum()),
        )


class GpuStep:
    def __init__(self, model: Any, dtype: torch.dtype, *, longest: int, tokens: int) -> None:
        """For rows of at most `longest` tokens, the last of which begins before token `tokens`."""
        self.model, self.dtype, self.longest = model, dtype, longest
        self.device = next(model.parameters()).device
        self.length = max(tokens, TOGETHER * longest) + longest
        self.compiled = [torch.compile(part, dynamic=False) for part in (_enter, _leave)]

    def backward(self, rows: Sequence[Encoded]) -> torch.Tensor:
        """The mean loss over the labelled tokens; every parameter gets its gradient."""
        line = self._full(rows)
        loss = self._summed(line, *self.compiled) / line.counted
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    @torch.no_grad()
    def loss_of(self, rows: Sequence[Encoded]) -> float:
        """The mean loss over the labelled tokens."""
        lines = [self._full(part) for part in some_together(rows)]
        summed = torch.stack([self._summed(line, _enter, _leave) for line in lines]).sum()
        return float(summed) / sum(line.counted for line in lines)

    def _full(self, rows: Sequence[Encoded]) -> Full:
        return Full.of(rows, self.length, self.longest, self.device)

    def _summed(self, line: Full, enter: Any, leave: Any) -> torch.Tensor:
        """The summed loss of a line; `enter` and `leave` are the compiled or plain functions."""
        decoder, head = self.model.model, self.model.lm_head.weight
        h = embedded(self.model, line.ids_N).to(self.dtype)
        turn = [x[0] for x in decoder.rotary_emb(h[None, :1], line.positions_N[None])]
        for layer in decoder.layers:
            own, mlp = layer.self_attn, layer.mlp
            projections = own.q_proj.weight, own.k_proj.weight, own.v_proj.weight
            q, k, v = enter(h, *_norm_of(layer.input_layernorm), *projections, *turn)
            seen = attended(q, k, v, line.starts, self.longest, own.scaling)
            blocks = mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight
            after = _norm_of(layer.post_attention_layernorm)
            h = leave(h, seen, own.o_proj.weight, *after, *blocks)
        h = _norm(h, *_norm_of(decoder.norm)).to(head.dtype)
        return cross_entropy(h @ head.t(), line.targets_N, reduction="sum")


def _enter(
    h: torch.Tensor,
    norm: torch.Tensor,
    eps: float,
    q_proj: torch.Tensor,
    k_proj: torch.Tensor,
    v_proj: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
) -> tuple[torch.Tensor, ...]:
    """q, k and v, each [N, heads, width]."""
    x = _norm(h, norm, eps)
    joined = torch.cat([q_proj, k_proj, v_proj]).to(x.dtype)
    q, k, v = (p.view(len(p), -1, cos.shape[1]) for p in (x @ joined.t()).chunk(3, 1))
    return _turned(q, cos, sin), _turned(k, cos, sin), v.contiguous()


def _leave(
    h: torch.Tensor,
    seen: torch.Tensor,
    o_proj: torch.Tensor,
    norm: torch.Tensor,
    eps: float,
    gate: torch.Tensor,
    up: torch.Tensor,
    down: torch.Tensor,
) -> torch.Tensor:
    """The layer's output, from its input `h` and what attention has read for it, `seen`."""
    h = h + seen.flatten(1) @ o_proj.to(h.dtype).t()
    x = _norm(h, norm, eps)
    opened, passed = (x @ torch.cat([gate, up]).to(x.dtype).t()).chunk(2, 1)
    return h + (silu(opened) * passed) @ down.to(x.dtype).t()


def _norm_of(layer: Any) -> tuple[torch.Tensor, float]:
    return layer.weight, layer.variance_epsilon


def _norm(h: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    x = h.float()
    shrink = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    return weight.to(h.dtype) * (x * shrink).to(h.dtype)


def _turned(x_NHW: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x_NHW.chunk(2, -1)
    return x_NHW * cos[:, None] + torch.cat((-second, first), -1) * sin[:, None]


def attended(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    starts: torch.Tensor,
    longest: int,
    scale: float,
) -> torch.Tensor:
    """Causal attention inside each episode."""
    # torch.nn.attention.varlen calls this too, but its own signature differs between 2.11 and 2.13
    forward = torch.ops.aten._flash_attention_forward
    out: torch.Tensor = forward(
        q, k, v, starts, starts, longest, longest, 0.0, True, False, scale=scale
    )[0]
    return out


def _on(values: Any, device: torch.device) -> torch.Tensor:
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
