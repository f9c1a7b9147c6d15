"""What the processor is and what it multiplies fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what the processor is can be asked without it
    import torch

BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # as Linux names them; the last is ARM's
INFO = "/proc/cpuinfo"


def cpu_info(*names: str) -> str:
    """What Linux says of the first processor under one of these names, elsewhere nothing."""
    try:
        with open(INFO) as lines:
            found = (line for line in lines if line.startswith(names))
            return next(found, "").partition(":")[2].strip()
    except OSError:
        return ""


def multiplies_bf16(device: torch.device) -> bool:
    """Whether it has instructions for bf16 products; without them fp32 is faster."""
    return device.type == "cuda" or cpu_multiplies_bf16()


def cpu_multiplies_bf16() -> bool:
    return bool(BF16_FLAGS & set(cpu_info("flags", "Features").split()))
