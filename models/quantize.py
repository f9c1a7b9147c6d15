"""Gives a model's linear layers the values of NF4 (nf4.py), in one of two forms.

`quantize_linears_` rounds the weights to their NF4 values and keeps them in the model's own dtype
("resident"): nothing has to be decoded, but the memory is that of the dtype. `pack_linears_` keeps
the 4-bit codes ("packed"): the same values in about a quarter of bf16's memory, decoded at every
use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from models.nf4 import decode, encode
from models.packed_linear import PackedLinear

KEPT = ("lm_head",)


@torch.no_grad()
def quantize_linears_(model: nn.Module, skip: Sequence[str] = KEPT) -> list[str]:
    """Rounds every linear layer's weight to its NF4 values, in place; returns the layers' names.

    `skip` names layers by the last part of their name. Embeddings, norms and biases stay as they
    are, and so does a layer that shares its weight with an embedding.
    """
    done, rounded = [], set[int]()
    for name, layer in linears_to_quantize(model, skip):
        if id(layer.weight) not in rounded:  # a weight that two layers share is rounded once
            layer.weight.copy_(decode(encode(layer.weight)))
            rounded.add(id(layer.weight))
            done.append(name)
    return done


@torch.no_grad()
def pack_linears_(model: nn.Module, skip: Sequence[str] = KEPT) -> list[str]:
    """Replaces every such layer by a PackedLinear, one at a time, so that no second model is ever
    in memory; returns the names of those packed."""
    done = []
    for name, layer in linears_to_quantize(model, skip):
        model.set_submodule(name, PackedLinear.of(layer))
        done.append(name)
    return done


def linears_to_quantize(
    model: nn.Module, skip: Sequence[str] = KEPT
) -> Iterator[tuple[str, nn.Linear]]:
    kept = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    for name, layer in list(model.named_modules()):
        if not isinstance(layer, nn.Linear) or name.rpartition(".")[2] in skip:
            continue
        if id(layer.weight) not in kept:
            yield name, layer
