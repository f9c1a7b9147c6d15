"""Adapters that stand on each other as one plain adapter, exactly: their factors side by side.

    s_1 B_1 A_1 + s_2 B_2 A_2  =  [s_1 B_1, s_2 B_2] [A_1; A_2]

So what was trained on top of something else loads and answers by itself, here and in stock PEFT;
the rank is the sum of the ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hone.errors import BadInput
from models.multilora.peft_files import AdapterFiles


def stacked(adapters: Sequence[AdapterFiles]) -> AdapterFiles:
    """Their sum; what the last one is told to be, the whole is."""
    last = adapters[-1]
    if any(one.tensors.keys() != last.tensors.keys() for one in adapters):
        raise BadInput("adapters of different layers cannot stand on each other")
    rank = sum(one.rank for one in adapters)
    return AdapterFiles(
        tensors={
            name: (
                torch.cat([one.tensors[name][0] for one in adapters]),
                torch.cat([one.tensors[name][1] * one.scale for one in adapters], dim=1),
            )
            for name in last.tensors
        },
        rank=rank,
        alpha=float(rank),  # so that the whole is scaled by 1
        target_modules=last.target_modules,
        embeddings=last.embeddings,
        extra=last.extra,
    )
