"""Turns adapters that stand on each other, or beside each other with weights, into one.

    w_1 s_1 B_1 A_1 + w_2 s_2 B_2 A_2  =  [w_1 s_1 B_1, w_2 s_2 B_2] [A_1; A_2]

The result is exact, since the factors are only put side by side; its rank is the sum of the ranks.
So an adapter trained on top of another, or a mixture of several, loads and answers by itself, here
and in stock PEFT. The base's weights are not touched, so it is exact on a 4-bit base too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hone.errors import BadInput
from models.multilora.peft_files import AdapterFiles


def stacked(
    adapters: Sequence[AdapterFiles], weights: Sequence[float] | None = None
) -> AdapterFiles:
    """The adapters' weighted sum, with target modules, embeddings and `extra` of the last."""
    last = adapters[-1]
    if any(one.tensors.keys() != last.tensors.keys() for one in adapters):
        raise BadInput(
            "an adapter cannot be put on top of one for other layers; give both the same targets"
        )
    rank = sum(one.rank for one in adapters)
    counting = weights or [1.0] * len(adapters)
    scaled = [(one, one.scale * weight) for one, weight in zip(adapters, counting, strict=True)]
    return AdapterFiles(
        tensors={
            name: (
                torch.cat([one.tensors[name][0] for one in adapters]),
                torch.cat([one.tensors[name][1] * scale for one, scale in scaled], dim=1),
            )
            for name in last.tensors
        },
        rank=rank,
        alpha=float(rank),  # so that the whole is scaled by 1
        target_modules=last.target_modules,
        embeddings=last.embeddings,
        extra=last.extra,
    )


def without_below(whole: AdapterFiles, below: AdapterFiles) -> AdapterFiles:
    """The part of `whole` that was stacked on top of `below`."""
    rank = whole.rank - below.rank
    return AdapterFiles(
        tensors={
            name: (a[below.rank :], b[:, below.rank :]) for name, (a, b) in whole.tensors.items()
        },
        rank=rank,
        alpha=whole.scale * rank,
        target_modules=whole.target_modules,
        embeddings=whole.embeddings,
        extra=whole.extra,
    )
