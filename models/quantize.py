"""The two forms of a base in NF4 (nf4.py), made of a model's linear layers.

`quantize_linears_` gives a model the values that NF4 leaves of its weights, kept in the model's own
dtype ("resident"): the memory is that of the dtype, and nothing is unpacked at every step.
`pack_linears_` keeps the codes ("packed"): the same values in a quarter of bf16's memory, decoded
at every use.
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
    """Round every linear layer's weight to its NF4 values, in place; the names of those rounded.

    `skip` names layers by the last part of their name. Embeddings, norms and biases stay as they
    are, and so does a layer that shares its weight with an embedding.
    """
    done, rounded = [], set[int]()
    for name, layer in linears_to_quantize(model, skip):
        if id(layer.weight) not in rounded:  # a second layer that shares it is not rounded twice
            layer.weight.copy_(decode(encode(layer.weight)))
            rounded.add(id(layer.weight))
            done.append(name)
    return done


@torch.no_grad()
def pack_linears_(model: nn.Module, skip: Sequence[str] = KEPT) -> list[str]:
    """Put a PackedLinear in the place of every such layer, one by one, so that no second model is
    ever in memory; the names of those packed."""
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
