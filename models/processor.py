"""What the processor is, and whether it multiplies bf16 fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that `cpu_info` can be used without loading torch
    import torch

BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # Linux's names; the last is ARM's
INFO = "/proc/cpuinfo"


def cpu_info(*names: str) -> str:
    """Linux's entry for the first processor under one of these names; empty on other systems."""
    try:
        with open(INFO) as lines:
            found = (line for line in lines if line.startswith(names))
            return next(found, "").partition(":")[2].strip()
    except OSError:
        return ""


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bf16 products; without them fp32 is faster."""
    return device.type == "cuda" or cpu_multiplies_bf16()


def cpu_multiplies_bf16() -> bool:
    return bool(BF16_FLAGS & set(cpu_info("flags", "Features").split()))
