"""The forward of a Llama-shaped model over one line of episodes on a CPU, for autograd.

It computes what transformers computes, with the model's own weights and without padding. Above the
last layer's attention only the places before labelled tokens are computed.
"""

from __future__ import annotations

from typing import Any

import torch

from models.training.functions import Turns, attend, linear, norm, swiglu
from models.training.line import Line
from models.training.new_model import VECTORS


def answer_loss(model: Any, line: Line, dtype: torch.dtype) -> torch.Tensor:
    """Mean cross-entropy over the labelled tokens, computed in `dtype`."""
    states_MD = hidden_states(model, line, dtype).to(model.lm_head.weight.dtype)
    return torch.nn.functional.cross_entropy(model.lm_head(states_MD), line.targets_M)


def hidden_states(model: Any, line: Line, dtype: torch.dtype) -> torch.Tensor:
    """[M, D] The head's input at the places that are followed by a labelled token."""
    decoder = model.model
    h = embedded(model, line.ids_N).to(dtype)
    cos, sin = decoder.rotary_emb(h[None, :1], line.positions_N[None])
    turns = Turns(line.starts, cos[0].contiguous(), sin[0].contiguous())
    *lower, last = decoder.layers
    for layer in lower:
        h = _layer(layer, h, turns)
    return norm(_layer(last, h, turns, line.places_M), decoder.norm)[0]


def embedded(model: Any, ids_N: torch.Tensor) -> torch.Tensor:
    """The embeddings of the tokens. Ids beyond the vocabulary stand for TASK, its last token, with
    the vector of a task added."""
    vocabulary = model.config.vocab_size
    h_ND: torch.Tensor = model.model.embed_tokens(ids_N.clamp(max=vocabulary - 1))
    if not hasattr(model, VECTORS):
        return h_ND
    places = (ids_N >= vocabulary).nonzero()[:, 0]
    return h_ND.index_add(0, places, getattr(model, VECTORS)(ids_N[places] - vocabulary))


def _layer(
    layer: Any, h: torch.Tensor, turns: Turns, only: torch.Tensor | None = None
) -> torch.Tensor:
    """The layer's output; with `only`, at these places alone."""
    attention, mlp = layer.self_attn, layer.mlp
    x, h = norm(h, layer.input_layernorm)
    qkv = linear(x, [p.weight for p in (attention.q_proj, attention.k_proj, attention.v_proj)])
    attended = attend(qkv, turns, attention.head_dim, attention.scaling)
    if only is not None:
        h, attended = h.index_select(0, only), attended.index_select(0, only)
    h = linear(attended, [attention.o_proj.weight], onto=h)
    x, h = norm(h, layer.post_attention_layernorm)
    y = swiglu(linear(x, [mlp.gate_proj.weight, mlp.up_proj.weight]))
    return linear(y, [mlp.down_proj.weight], onto=h)
