"""Decodes NF4 with the kernel of bitsandbytes, where that gives the same values as nf4.py.

Only its function for given codes is used, not its layer: on a CPU, `Linear4bit` repacks its weight
at the first forward without gradients, and from then on the gradient of its input is silently None.
Codes and scales are those of nf4.py, so the values are the same with the kernel and without it.
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
    """The kernel of bitsandbytes where it agrees bit for bit with nf4.decode, else the latter."""
    rng = torch.Generator().manual_seed(0)
    probe = encode(torch.randn(8, 48, generator=rng).to(device, dtype))
    try:
        return _decode if torch.equal(_decode(probe), decode(probe)) else decode
    except Exception:  # it is not installed, or not built for this device or dtype
        return decode


def _decode(coded: Coded) -> Tensor:
    if coded.shape.numel() % BLOCK:
        return decode(coded)
    functional = _functional()
    # one row per block, because on a CPU the kernel starts a block at every row
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
