"""Lets training start from the weights of another base instead of random ones."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from hone.errors import BadInput, Damaged, NotThere
from hone.files import sha256_of
from models.training.new_model import VECTORS


def begin_from(model: torch.nn.Module, folder: Path) -> str:
    """Copies the base's weights into the model; returns their sha256. The tasks' vectors, which no
    folder holds, stay as they are."""
    file = Path(folder) / "model.safetensors"
    if not file.is_file():
        raise NotThere(f"--start_from {folder} has no model.safetensors; name a base's folder")
    saved = _tensors(file)
    held = {name: p for name, p in model.named_parameters() if not name.startswith(VECTORS)}
    for name in sorted({*saved, *held}):
        theirs, ours = _shape(saved.get(name)), _shape(held.get(name))
        if theirs != ours:
            raise BadInput(
                f"--start_from {folder}: its {name} is {theirs}, this model's {ours}; give"
                " --hidden_size, --layers, --ffn_size and kind of sources as it was trained"
            )
    with torch.no_grad():
        for name, parameter in held.items():
            parameter.copy_(saved[name])
    return sha256_of(file)


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(file)
    except SafetensorError as error:
        raise Damaged(f"{file} cannot be read: {error}; train it again") from None


def _shape(tensor: torch.Tensor | None) -> str:
    return "missing" if tensor is None else str(list(tensor.shape))
