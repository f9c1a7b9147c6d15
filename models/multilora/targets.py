"""Chooses the layers of a model that get an adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from hone.errors import BadInput
from models.frozen_linear import is_frozen_linear
from models.multilora.final_states import FinalStates
from models.multilora.flat import Shape
from models.multilora.placement import Placement, layer_number


def find_targets(
    model: nn.Module, targets: Sequence[str] = (), placement: str = "all"
) -> dict[str, nn.Module]:
    """The linear layers, and the embedding, that `targets` name by their whole name or by the end
    of it after a dot, as in PEFT. Without targets, every linear layer but the head. Only those in
    the part of the model that `placement` gives are taken."""
    where = Placement.parse(placement)
    head, embedding = _ask(model, "get_output_embeddings"), _ask(model, "get_input_embeddings")
    able = {
        name: module
        for name, module in model.named_modules()
        if is_frozen_linear(module) or module is embedding
    }
    if where.on_states:
        return _final_states(able, head, targets)
    _check_known(able, targets)
    chosen = {
        name: module
        for name, module in able.items()
        if (set(targets) & set(_ends(name)) if targets else module not in (head, embedding))
    }
    if not chosen:
        raise BadInput("the model has no linear layer that an adapter could stand beside")
    return chosen if where.last is None else _in_part(chosen, able, where, head, embedding)


def fitting_rank(layers: Mapping[str, nn.Module], rank: int) -> int:
    """The rank, lowered to what the narrowest layer can hold."""
    if rank < 1:
        raise BadInput(f"a LoRA rank of {rank}; at least 1 is needed")
    shapes = [Shape.of(module) for module in layers.values()]
    return min(rank, *(min(shape.inputs, shape.outputs) for shape in shapes))


def names_of(model: nn.Module, layers: Mapping[str, nn.Module]) -> list[str]:
    """The shortest list of targets that names these layers and no others."""
    short = sorted({_last(name) for name in layers})
    return short if find_targets(model, short).keys() == layers.keys() else sorted(layers)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _check_known(able: Mapping[str, nn.Module], targets: Sequence[str]) -> None:
    if unknown := sorted(set(targets).difference(*map(_ends, able))):
        known = sorted({_last(name) for name in able})
        raise BadInput(f"no linear layer is called {', '.join(unknown)}; there are: {known}")


def _final_states(
    able: Mapping[str, nn.Module], head: Any, targets: Sequence[str]
) -> dict[str, nn.Module]:
    if targets:
        raise BadInput(
            "adapter_layers head adapts no layer, but target modules are given"
            f" ({', '.join(targets)}); give one of the two"
        )
    name = next((name for name, module in able.items() if module is head), None)
    if name is None:
        raise BadInput("the model's head is no linear layer; adapter_layers head needs one")
    return {name: FinalStates(head)}


def _in_part(
    chosen: Mapping[str, nn.Module],
    able: Mapping[str, nn.Module],
    where: Placement,
    head: Any,
    embedding: Any,
) -> dict[str, nn.Module]:
    """The chosen layers in the placement's part, and the head, which lies above all layers."""
    for name, module in chosen.items():
        if module is embedding:
            raise BadInput(
                f"target {name} lies below all layers, but adapter_layers top:{where.last} adapts"
                " only the last ones; leave out one of the two"
            )
    first = where.first_layer(1 + max(map(layer_number, able)))
    kept = {n: m for n, m in chosen.items() if m is head or layer_number(n) >= first}
    if not kept:
        raise BadInput(f"no target is in the last {where.last} layers; name others, or give all")
    return kept


def _ends(name: str) -> list[str]:
    """The name, and what is left of it after each dot."""
    parts = name.split(".")
    return [".".join(parts[i:]) for i in range(len(parts))]


def _ask(model: nn.Module, question: str) -> Any:
    asked = getattr(model, question, None)
    return asked() if asked else None
