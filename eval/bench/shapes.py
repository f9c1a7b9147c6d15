"""The models of the benchmarks, and the items on which their adapters are trained.

The weights are random, since the cost of a step does not depend on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from arc.formats import IGNORED, Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Shape:
    width: int
    layers: int
    middle: int
    heads: int
    key_heads: int = 0  # heads of keys and values; 0: as many as `heads`
    vocabulary: int = 16
    kind: str = "llama"
    nf4: bool = False  # weights are rounded to NF4, and stored in bf16

    def config(self) -> dict[str, Any]:
        return {
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "intermediate_size": self.middle,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_heads or self.heads,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": 8192,
            "initializer_range": self.width**-0.5,  # large enough for adapters to have an effect
            "attn_implementation": "sdpa",
        }


SHAPES = {
    "tiny": Shape(32, 2, 48, 4),
    "3m": Shape(192, 6, 512, 6),
    "6m": Shape(256, 8, 704, 8),  # the shape of the bundled base
    "25m": Shape(512, 8, 1408, 8),
    "7b": Shape(3584, 28, 18944, 28, 4, 152064, "qwen2", nf4=True),
}
NAMES = tuple(SHAPES)


def open_model(name: str, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
    """The frozen model; its weights are always the same, rounded to `dtype`."""
    model: nn.Module = _drawn(SHAPES[name], dtype, device)
    if SHAPES[name].nf4:
        from models.quantize import quantize_linears_

        quantize_linears_(model)
    return cast("PreTrainedModel", model.eval().requires_grad_(False))


def _drawn(shape: Shape, dtype: torch.dtype, device: torch.device) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    kinds: dict[str, Any] = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    }
    config, kind = kinds[shape.kind]
    # large models are made directly on the device in their dtype, others in fp32 on the CPU
    made = _made_in(dtype, device) if shape.nf4 else _made_in(torch.float32, torch.device("cpu"))
    with torch.random.fork_rng([device] if device.type == "cuda" else []), made:
        torch.manual_seed(0)
        model: nn.Module = kind(config(**shape.config()))
    return model.to(device, dtype)


@contextmanager
def _made_in(dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            yield
    finally:
        torch.set_default_dtype(before)


def drawn_item(tokens: int, seed: int, vocabulary: int) -> Encoded:
    """A random sequence of exactly `tokens` tokens; the second half has labels."""
    ids = np.random.default_rng(seed).integers(0, vocabulary, tokens)
    labels = np.where(np.arange(tokens) < tokens // 2, IGNORED, ids)
    return Encoded(ids, np.arange(tokens), labels)


def drawn_items(tokens: int, count: int, vocabulary: int) -> list[Encoded]:
    return [drawn_item(tokens, seed, vocabulary) for seed in range(count)]


def linears_of(model: PreTrainedModel) -> list[nn.Linear]:
    """The frozen linear layers inside the decoder layers, without the head."""
    inside: nn.Module = model.base_model
    return [module for module in inside.modules() if isinstance(module, nn.Linear)]


def flops_per_token(linears: Sequence[nn.Linear], rank: int) -> int:
    """4N + 6P floating point operations for N frozen parameters, which take part in the forward and
    in the gradient of the input, and P parameters of one adapter, which also need gradients of
    their own."""
    frozen = sum(linear.weight.numel() for linear in linears)
    own = sum(rank * (linear.in_features + linear.out_features) for linear in linears)
    return 4 * frozen + 6 * own
