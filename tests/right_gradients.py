"""A small model to train, and what transformers says of its losses and gradients."""

from __future__ import annotations

import torch

from arc.formats import IGNORED, Encoded
from models.batch import pad
from models.training.new_model import new_model
from models.training.settings import TrainBaseSettings

SETTINGS = TrainBaseSettings(hidden_size=32, layers=2, heads=2, ffn_size=48)
Grads = dict[str, torch.Tensor]


def fresh() -> torch.nn.Module:
    """Norm weights are not left at 1, where their place would not matter."""
    torch.manual_seed(0)
    model = new_model(SETTINGS)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return model


def grads_of(model: torch.nn.Module, loss: torch.Tensor) -> Grads:
    model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def by_transformers(model: torch.nn.Module, rows: list[Encoded]) -> torch.Tensor:
    batch = pad(rows)
    logits = model(
        input_ids=batch.ids,
        position_ids=batch.positions,
        attention_mask=batch.ones,
        use_cache=False,
    ).logits
    targets = batch.labels[:, 1:]
    wanted = targets != IGNORED
    return torch.nn.functional.cross_entropy(logits[:, :-1][wanted], targets[wanted])


def worst(found: Grads, right: Grads) -> float:
    assert found.keys() == right.keys()
    return max(float((found[n] - right[n]).norm() / right[n].norm()) for n in right)
