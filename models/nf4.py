"""NF4, the 4-bit code of QLoRA: gives bitsandbytes' values on any device, without needing it.

Blocks of 64 values share one scale, their largest magnitude; each value becomes the nearest of 16
table entries times that scale. The scales are coded themselves ("double quantization"): their mean
is subtracted, and each is an entry of a table of 256 times a scale that 256 of them share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

BLOCK, SCALE_BLOCK = 64, 256
# Values that are coded together, so that no fp32 copy of a whole layer is made.
_AT_ONCE = 1 << 20
_TINY = 1e-38  # prevents a division by zero in a block of zeros
# Quantiles of the normal distribution with zero among them (QLoRA, arXiv 2305.14314).
# fmt: off
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)
# fmt: on


@dataclass(frozen=True)
class CodedScales:
    """The blocks' scales in 8 bits: table[codes] * scales + mean."""

    codes: Tensor  # uint8 [blocks]
    scales: Tensor  # fp32 [ceil(blocks / 256)]
    mean: Tensor  # fp32 scalar


@dataclass(frozen=True)
class Coded:
    """A tensor in NF4: two values a byte, the first in the high half."""

    packed: Tensor  # uint8 [ceil(n / 2)]
    scales: CodedScales | Tensor  # the tensor is fp32 [ceil(n / 64)], for scales that are not coded
    shape: torch.Size
    dtype: torch.dtype


def encode(weight: Tensor, *, double: bool = True) -> Coded:
    pieces = torch.split(weight.detach().flatten(), _AT_ONCE)
    parts = [_nearest(piece, "nf4", BLOCK) for piece in pieces]
    codes, scales = (torch.cat(kind) for kind in zip(*parts, strict=True))
    if len(codes) % 2:
        codes = nn.functional.pad(codes, (0, 1), value=NF4.index(0.0))
    packed = (codes[::2] << 4) | codes[1::2]
    return Coded(packed, _encode_scales(scales) if double else scales, weight.shape, weight.dtype)


def decode(coded: Coded) -> Tensor:
    # a byte's two fp32 values are looked up together, as one number of 64 bits
    pairs = _pairs(coded.packed.device).index_select(0, coded.packed.int())
    values = pairs.view(torch.float32)[: coded.shape.numel()]
    return _scaled_(values, scales_of(coded), BLOCK).view(coded.shape).to(coded.dtype)


def scales_of(coded: Coded) -> Tensor:
    """The scale of every block, fp32 [ceil(n / 64)]."""
    if isinstance(coded.scales, Tensor):
        return coded.scales
    table = _table("dynamic", coded.packed.device)
    values = table.index_select(0, coded.scales.codes.int())
    return _scaled_(values, coded.scales.scales, SCALE_BLOCK).add_(coded.scales.mean)


def _encode_scales(scales: Tensor) -> CodedScales:
    mean = scales.mean()
    return CodedScales(*_nearest(scales - mean, "dynamic", SCALE_BLOCK), mean)


def _nearest(values: Tensor, table: str, block: int) -> tuple[Tensor, Tensor]:
    """The codes [n] of the nearest entries of a sorted table, and the scale of each block."""
    blocks = _in_blocks(values.float(), block)
    scales = blocks.abs().amax(dim=1)
    # multiplied by the reciprocal, as bitsandbytes does: a division rounds differently, and values
    # at the borders would get other codes
    unit = (blocks * (1.0 / scales.clamp(min=_TINY))[:, None]).clamp_(-1, 1)
    entries = _table(table, values.device)
    codes = _count_below(unit, (entries[:-1] + entries[1:]) / 2)
    return codes.flatten()[: len(values)], scales


def _count_below(values: Tensor, borders: Tensor) -> Tensor:
    """How many of the sorted borders lie below each value."""
    if len(borders) > len(NF4):
        return torch.bucketize(values, borders, out_int32=True).to(torch.uint8)
    count = torch.zeros_like(values, dtype=torch.uint8)  # 3 times as fast for a few borders
    for border in borders:
        count += values > border
    return count


def _scaled_(values: Tensor, scales: Tensor, block: int) -> Tensor:
    """The values times the scale of their block; in place where the last block is full."""
    return _in_blocks(values, block).mul_(scales[:, None]).flatten()[: len(values)]


def _in_blocks(values: Tensor, block: int) -> Tensor:
    """[ceil(n / block), block], with the last block filled up with zeros."""
    if lacking := -len(values) % block:
        values = nn.functional.pad(values, (0, lacking))
    return values.view(-1, block)


@cache
def _table(kind: str, device: torch.device) -> Tensor:
    return torch.tensor(NF4 if kind == "nf4" else _dynamic_values(), device=device)


@cache
def _pairs(device: torch.device) -> Tensor:
    """[256]: both values of every byte, the high half first, as one number of 64 bits."""
    table = _table("nf4", device)
    both = torch.stack((table.repeat_interleave(len(NF4)), table.repeat(len(NF4))), dim=1)
    return both.view(torch.int64).flatten()


def _dynamic_values() -> list[float]:
    """256 values of an 8-bit float whose exponent has as many bits as it needs.

    Each decade from 1e-7 to 1 has evenly spaced fractions, twice as many as the decade below (arXiv
    1511.04561).
    """
    values = [0.0, 1.0]
    for decade in range(7):
        edges = torch.linspace(0.1, 1, 2**decade + 1)
        middles = 10.0 ** (decade - 6) * ((edges[:-1] + edges[1:]) / 2)
        values += [*middles.tolist(), *(-middles).tolist()]
    return sorted(values)
