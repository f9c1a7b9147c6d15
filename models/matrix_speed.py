"""Measures the peak speed at which a device multiplies matrices, to compare other work with.

Also holds the clock for that, which waits for the device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

SIZES = (1024, 2048, 4096)
TRIES = 5
PATIENCE = 20.0  # seconds for one size, since a processor without bf16 would take minutes


def now(device: torch.device) -> float:
    """The time in seconds, once the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    begun = now(device)
    work()
    return now(device) - begun


def gemm_peak(
    device: torch.device, dtype: torch.dtype = torch.bfloat16, sizes: Sequence[int] = ()
) -> float:
    """GFLOP/s of matrix products: the best of 5 tries at each of these sizes (default: SIZES)."""
    return max(_gemm_gflops(size, dtype, device, TRIES) for size in sizes or SIZES)


def _gemm_gflops(size: int, dtype: torch.dtype, device: torch.device, tries: int) -> float:
    a = torch.randn(size, size, device=device).to(dtype)
    out = torch.empty_like(a)
    best, spent = float("inf"), 0.0
    for _ in range(tries):
        seconds = seconds_of(lambda: torch.mm(a, a, out=out), device)
        best, spent = min(best, seconds), spent + seconds
        if spent > PATIENCE:
            break
    return 2 * size**3 / best / 1e9
