"""The optimizers: one for the matrices inside the layers, AdamW for all other parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from models.training.crew import Crew
from models.training.muon import Muon
from models.training.settings import TrainBaseSettings

BETAS = (0.9, 0.98)


def make_optimizers(
    model: torch.nn.Module,
    settings: TrainBaseSettings,
    dtype: torch.dtype = torch.bfloat16,
    crew: Crew | None = None,
) -> list[torch.optim.Optimizer]:
    """`dtype` is the one that the machine multiplies fast; `crew` are its threads."""
    named = list(model.named_parameters())
    inside = [p for name, p in named if p.ndim == 2 and ".layers." in name]
    rest = [p for name, p in named if not (p.ndim == 2 and ".layers." in name)]
    matrices: torch.optim.Optimizer = (
        Muon(inside, settings.learning_rate, settings.weight_decay, dtype=dtype, crew=crew)
        if settings.optimizer == "muon"
        else _adamw(inside, settings.adam_rate, settings.weight_decay)
    )
    optimizers = [matrices, _adamw(rest, settings.adam_rate, 0.0)]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["full_lr"] = group["lr"]
    return optimizers


def step(model: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer], rate: float) -> None:
    """One step at `rate`, a share of the full learning rates. The gradients are cleared."""
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _adamw(parameters: list[torch.nn.Parameter], rate: float, decay: float) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameters, lr=rate, betas=BETAS, weight_decay=decay)
