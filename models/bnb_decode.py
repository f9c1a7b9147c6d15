"""bitsandbytes' kernel that decodes NF4, where it is installed and gives our own values.

Its function over given codes is all that is used. Its layer is not: on a CPU, `Linear4bit` repacks
its weight at the first forward without gradients, and from then on its input's gradient is None,
without a word. Codes and scales stay ours, so the values are the same with the kernel and without.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from models.nf4 import BLOCK, Coded, decode, encode, scales_of
from models.quiet import quiet_loading

Decode = Callable[[Coded], Tensor]


@cache
def quickest_decode(device: torch.device, dtype: torch.dtype) -> Decode:
    """bitsandbytes' kernel if it is there and agrees bit for bit with nf4.decode, or that."""
    rng = torch.Generator().manual_seed(0)
    probe = encode(torch.randn(8, 48, generator=rng).to(device, dtype))
    try:
        return _decode if torch.equal(_decode(probe), decode(probe)) else decode
    except Exception:  # not installed, not built for this device, not for this dtype
        return decode


def _decode(coded: Coded) -> Tensor:
    if coded.shape.numel() % BLOCK:
        return decode(coded)
    functional = _functional()
    # a row per block: on a CPU the kernel takes every row for the start of a block
    state = functional.QuantState(
        absmax=scales_of(coded),
        shape=torch.Size((coded.shape.numel() // BLOCK, BLOCK)),
        dtype=coded.dtype,
        blocksize=BLOCK,
        quant_type="nf4",
    )
    values: Tensor = functional.dequantize_4bit(coded.packed[:, None], state)
    return values.view(coded.shape)


@cache
def _functional() -> Any:
    with quiet_loading():
        from bitsandbytes import functional
    return functional
