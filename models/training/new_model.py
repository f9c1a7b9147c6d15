"""The model that is trained: Llama's shape, so that every library reads the finished base.

Tasks that are learned without demos have a vector each beside it. Those stay behind: a new task's
vector is what its adapter makes of the embedding of TASK.
"""

from __future__ import annotations

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from models.training.alphabet import GRIDS, Alphabet
from models.training.settings import TrainBaseSettings

VECTORS = "task_vectors"  # the model's name for them while it is trained


def new_model(
    settings: TrainBaseSettings, alphabet: Alphabet = GRIDS, *, tasks: int = 0
) -> torch.nn.Module:
    """`tasks`: that have a vector of their own."""
    config = LlamaConfig(
        vocab_size=alphabet.tokens,
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        intermediate_size=settings.ffn_size,
        max_position_embeddings=alphabet.positions,
        rope_parameters={"rope_type": "default", "rope_theta": 1e5},
        tie_word_embeddings=False,
        attention_bias=False,
        bos_token_id=alphabet.start,
        eos_token_id=alphabet.end,
        pad_token_id=None,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=alphabet.start, eos_token_id=alphabet.end
    )
    if tasks:
        vectors = torch.nn.Embedding(tasks, settings.hidden_size)
        torch.nn.init.zeros_(vectors.weight)
        setattr(model, VECTORS, vectors)
    return model


def without_vectors(model: torch.nn.Module) -> torch.nn.Module:
    if hasattr(model, VECTORS):
        delattr(model, VECTORS)
    return model
