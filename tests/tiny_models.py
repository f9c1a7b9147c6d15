"""Tiny random models and items that the tests of the engine share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from arc.formats import IGNORED, Encoded
from client.jobs import Item, Job
from models.multilora.bank import SlotSpec

VOCABULARY = 16


SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}


def tiny_llama(dtype: torch.dtype = torch.float64, seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**SIZES)).to(dtype).eval().requires_grad_(False)


def tiny_qwen2(dtype: torch.dtype = torch.float64, seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(Qwen2Config(**SIZES)).to(dtype).eval().requires_grad_(False)


def tiny_mistral(dtype: torch.dtype = torch.float64, seed: int = 0) -> PreTrainedModel:
    """Heads of their own width, and no window of attention."""
    torch.manual_seed(seed)
    config = MistralConfig(**SIZES, head_dim=16, sliding_window=None)
    return MistralForCausalLM(config).to(dtype).eval().requires_grad_(False)


def tiny_tied(dtype: torch.dtype = torch.float64, seed: int = 3) -> PreTrainedModel:
    """Its head is its embedding."""
    torch.manual_seed(seed)
    config = LlamaConfig(**SIZES, tie_word_embeddings=True)
    return LlamaForCausalLM(config).to(dtype).eval().requires_grad_(False)


def random_item(length: int, seed: int, weight: float = 1.0) -> Item:
    """A sequence with jumping positions; its second half counts."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, VOCABULARY, length)
    positions = np.cumsum(rng.integers(1, 5, length))
    labels = np.where(np.arange(length) < length // 2, IGNORED, ids)
    return Item(Encoded(ids, positions, labels), weight)


def jobs_of_all_kinds() -> list[Job]:
    """Unequal lengths, ranks, rates, weights, batches and step counts."""
    return [
        Job([random_item(12 + i, i) for i in range(3)], SlotSpec(4, 8, 1e-2, seed=1), 7, 2),
        Job([random_item(30 + i, 10 + i) for i in range(5)], SlotSpec(2, 16, 3e-3, seed=2), 4, 1),
        Job(
            [random_item(21, 20, 0.5), random_item(9, 21, 2.0)],
            SlotSpec(8, 4, 2e-2, weight_decay=0.1, clip_norm=0.5, seed=3),
            9,
            2,
            shuffle=False,
        ),
    ]
