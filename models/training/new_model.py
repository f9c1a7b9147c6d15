"""The model that is trained: Llama-shaped, so that every library reads the finished base.

Tasks that are trained on without demos each have a vector beside the model. The finished base does
not hold these vectors: for a new task, its adapter changes the embedding of TASK instead.
"""

from __future__ import annotations

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from models.training.alphabet import GRIDS, Alphabet
from models.training.settings import TrainBaseSettings

VECTORS = "task_vectors"  # the model's attribute that holds them during training


def new_model(
    settings: TrainBaseSettings, alphabet: Alphabet = GRIDS, *, tasks: int = 0
) -> torch.nn.Module:
    """A model with random weights, and with vectors for so many `tasks`."""
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
