"""Which layers of a model get an adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from hone.errors import BadInput
from models.frozen_linear import is_frozen_linear
from models.multilora.flat import Shape


def find_targets(model: nn.Module, targets: Sequence[str] = ()) -> dict[str, nn.Module]:
    """Linear layers and the embedding whose last name is in `targets`; without any, every linear
    layer but the head."""
    head, embedding = _ask(model, "get_output_embeddings"), _ask(model, "get_input_embeddings")
    able = {
        name: module
        for name, module in model.named_modules()
        if is_frozen_linear(module) or module is embedding
    }
    known = sorted({last_name(name) for name in able})
    if unknown := sorted(set(targets) - set(known)):
        raise BadInput(f"no linear layer is called {', '.join(unknown)}; there are: {known}")
    usual = {n: m for n, m in able.items() if m is not head and m is not embedding}
    if not usual:
        raise BadInput("the model has no linear layer that an adapter could stand beside")
    return {n: m for n, m in able.items() if last_name(n) in targets} if targets else usual


def fitting_rank(layers: Mapping[str, nn.Module], rank: int) -> int:
    """The rank, clamped to what the narrowest layer can hold."""
    if rank < 1:
        raise BadInput(f"a LoRA rank of {rank}; at least 1 is needed")
    shapes = [Shape.of(module) for module in layers.values()]
    return min(rank, *(min(shape.inputs, shape.outputs) for shape in shapes))


def last_name(name: str) -> str:
    return name.rpartition(".")[2]


def _ask(model: nn.Module, question: str) -> Any:
    asked = getattr(model, question, None)
    return asked() if asked else None
