"""The decoder of Llama-shaped models over packed tokens, with forward and backward written out.

It computes what transformers computes, with the model's own weights, on [N, width] tokens without
padding and without autograd. Frozen weights need no gradient, so little is kept for the backward,
and layers below the lowest adapter keep nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from models.multilora import kernels
from models.multilora.dropout import Dropout
from models.multilora.owned import Owned
from models.multilora.packed import Answers, Packed
from models.multilora.sites import Buffers, Kept, Site

SHAPES = ("llama", "qwen2", "mistral")
LENGTH_DEPENDENT = ("dynamic", "longrope")  # where a longer item changes its neighbours' angles


def runs_packed(model: nn.Module) -> bool:
    """Whether the model's layers are those computed here: attention to all earlier tokens, and
    positions that do not depend on what else is in the batch."""
    config: Any = model.config
    plain = config.model_type in SHAPES and config.hidden_act == "silu"
    windowed = getattr(config, "sliding_window", None) is not None
    rope = (config.rope_parameters or {}).get("rope_type", "default")
    return plain and not windowed and rope not in LENGTH_DEPENDENT


@dataclass(frozen=True)
class Step:
    """What all layers read in one forward and backward."""

    batch: Packed
    cos: torch.Tensor  # [N, head width]
    sin: torch.Tensor
    dropout: Dropout | None


@dataclass
class LayerKept:
    """What the backward of one layer needs from its forward."""

    h: torch.Tensor
    shrink: torch.Tensor
    qkv: torch.Tensor
    attended: torch.Tensor
    mass: torch.Tensor  # logarithm of the sum that attention's softmax divided by
    middle: torch.Tensor
    middle_shrink: torch.Tensor
    gate_up: torch.Tensor
    sites: tuple[Kept, Kept, Kept, Kept]


class Layer:
    def __init__(self, layer: Any, prefix: str, buffers: Buffers) -> None:
        attention, mlp = layer.self_attn, layer.mlp

        def site(of: Any, where: str, *names: str) -> Site:
            linears = [getattr(of, name) for name in names]
            return Site(linears, [f"{prefix}.{where}.{name}" for name in names], buffers)

        self.into = site(attention, "self_attn", "q_proj", "k_proj", "v_proj")
        self.out = site(attention, "self_attn", "o_proj")
        self.wide = site(mlp, "mlp", "gate_proj", "up_proj")
        self.down = site(mlp, "mlp", "down_proj")
        self.first_norm, self.second_norm = layer.input_layernorm, layer.post_attention_layernorm
        self.head, self.scale = attention.head_dim, attention.scaling
        self.widths = self.into.frozen.widths

    @property
    def adapted(self) -> bool:
        return any(site.members for site in (self.into, self.out, self.wide, self.down))

    def forward(
        self, h: torch.Tensor, step: Step, only: Answers | None = None
    ) -> tuple[torch.Tensor, LayerKept]:
        """The layer's output, of the tokens in `only` if given, and what its backward needs."""
        owned, dropout = step.batch.owned, step.dropout
        x, shrink = _norm(h, self.first_norm)
        qkv, kept_into = self.into.forward(x, owned, dropout=dropout)
        q, k, v = self._heads(qkv)
        kernels.rotate(q, step.cos, step.sin, back=False)
        kernels.rotate(k, step.cos, step.sin, back=False)
        attended, mass = kernels.attention(q, k, v, step.batch.starts, self.scale)
        passed, read = h, attended
        if only is not None:
            owned, passed, read = only.owned, h[only.places], attended[only.places]
            dropout = dropout.at(only.places) if dropout else None
        middle, kept_out = self.out.forward(read, owned, onto=passed, dropout=dropout)
        x, middle_shrink = _norm(middle, self.second_norm)
        gate_up, kept_wide = self.wide.forward(x, owned, dropout=dropout)
        y = kernels.swiglu(*gate_up.chunk(2, 1))
        result, kept_down = self.down.forward(y, owned, onto=middle, dropout=dropout)
        sites = kept_into, kept_out, kept_wide, kept_down
        return result, LayerKept(
            h, shrink, qkv, attended, mass, middle, middle_shrink, gate_up, sites
        )

    def backward(
        self,
        g: torch.Tensor,
        kept: LayerKept,
        step: Step,
        only: Answers | None = None,
        *,
        input_wanted: bool = True,
    ) -> torch.Tensor | None:
        owned = step.batch.owned if only is None else only.owned
        into, out, _, _ = kept.sites
        g = self._mlp_backward(g, kept, owned)
        g_attended = _there(self.out.backward(g, out, owned))
        if only is not None:
            g, g_attended = (_scattered(part, only, len(kept.h)) for part in (g, g_attended))
        g_qkv = torch.empty_like(kept.qkv)
        gq, gk, gv = self._heads(g_qkv)
        q, k, v = self._heads(kept.qkv)
        starts = step.batch.starts
        kernels.attention_backward(
            g_attended, q, k, v, kept.attended, kept.mass, starts, self.scale, gq, gk, gv
        )
        kernels.rotate(gq, step.cos, step.sin, back=True)
        kernels.rotate(gk, step.cos, step.sin, back=True)
        gx_or_none = self.into.backward(g_qkv, into, step.batch.owned, input_wanted=input_wanted)
        if gx_or_none is None:
            return None
        return _norm_backward(gx_or_none, kept.h, self.first_norm, kept.shrink, g)

    def _mlp_backward(self, g: torch.Tensor, kept: LayerKept, owned: Owned) -> torch.Tensor:
        """Overwrites the kept gate and up, which nothing reads any more, with their gradients."""
        _, _, wide, down = kept.sites
        gy = _there(self.down.backward(g, down, owned))
        gate, up = kept.gate_up.chunk(2, 1)
        kernels.swiglu_backward(gy, gate, up, gate, up)
        gx = _there(self.wide.backward(kept.gate_up, wide, owned))
        return _norm_backward(gx, kept.middle, self.second_norm, kept.middle_shrink, g)

    def _heads(self, qkv: torch.Tensor) -> list[torch.Tensor]:
        """q, k and v as [N, heads, width], views of one buffer."""
        return [part.view(len(qkv), -1, self.head) for part in torch.split(qkv, self.widths, dim=1)]


def step_of(model: Any, batch: Packed, dropout: Dropout | None) -> Step:
    decoder = model.base_model
    like = decoder.embed_tokens.weight
    cos, sin = decoder.rotary_emb(like[:1, None], batch.positions[None])
    return Step(batch, cos[0], sin[0], dropout)


def layers_of(model: Any, buffers: Buffers) -> list[Layer]:
    prefix = f"{model.base_model_prefix}.layers"
    return [
        Layer(layer, f"{prefix}.{i}", buffers) for i, layer in enumerate(model.base_model.layers)
    ]


def _norm(x: torch.Tensor, norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return kernels.rms_norm(x, norm.weight, norm.variance_epsilon)


def _norm_backward(
    g: torch.Tensor, x: torch.Tensor, norm: Any, shrink: torch.Tensor, residual: torch.Tensor
) -> torch.Tensor:
    return kernels.rms_norm_backward(g, x, norm.weight, shrink, residual)


def _scattered(part: torch.Tensor, answers: Answers, tokens: int) -> torch.Tensor:
    return part.new_zeros(tokens, part.shape[1]).index_copy_(0, answers.places, part)


def _there(tensor: torch.Tensor | None) -> torch.Tensor:
    assert tensor is not None
    return tensor
