"""A training run on disk: one safetensors file and one JSON, whole or not at all, no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from hone.errors import BadInput, Damaged
from hone.files import write_bytes

FILE = "checkpoint.safetensors"


def save_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    optimizers: list[torch.optim.Optimizer],
    record: dict[str, Any],
) -> None:
    """Parameters, optimizer state and the run's record in one file, renamed into place."""
    tensors = {f"model.{name}": p.detach() for name, p in model.named_parameters()}
    for i, optimizer in enumerate(optimizers):
        for j, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{j}.{key}": value for key, value in state.items()}
    packed = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    write_bytes(folder / FILE, save(packed, {"record": json.dumps(record)}))


def load_checkpoint(
    folder: Path, model: torch.nn.Module, optimizers: list[torch.optim.Optimizer]
) -> dict[str, Any]:
    """Fill model and optimizers from `folder`; returns the run's record."""
    try:
        with safe_open(folder / FILE, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            record: dict[str, Any] = json.loads(file.metadata()["record"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise Damaged(f"{folder / FILE} cannot be read: {error}; remove it to start anew") from None
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
    for i, optimizer in enumerate(optimizers):
        _fill(optimizer, f"optimizer.{i}.", tensors)
    return record


def refuse_other(record: dict[str, Any], settings: dict[str, Any]) -> None:
    """A run goes on only as what it was begun; the settings that differ are named."""
    begun = record["settings"]
    changed = [f"{k} was {begun.get(k)}, now {v}" for k, v in settings.items() if begun.get(k) != v]
    if changed:
        raise BadInput(
            f"the run was begun otherwise ({'; '.join(changed)}); use those, or another --out_dir"
        )


def _fill(optimizer: torch.optim.Optimizer, prefix: str, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            index, key = name.removeprefix(prefix).split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
