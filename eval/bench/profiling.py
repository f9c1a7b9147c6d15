"""Profiles a step: its time by operation, and its use of a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from models.matrix_speed import seconds_of
from models.multilora import kernels

MOST = 15


def profile_of(
    work: Callable[[], object], device: torch.device, steps: int
) -> list[dict[str, Any]]:
    """The operations with the largest own time, per step; then the rest as one line, and the time
    that Python takes between them. On a GPU, times are those of the device."""
    with _kernels_by_name():
        found, seconds = _profiled(work, device)
    own = sorted(
        ((event.key, event.count, _own_us(event, device)) for event in found),
        key=lambda one: -one[2],
    )
    shown, rest = own[:MOST], own[MOST:]
    if rest:
        shown.append(("other operations", sum(n for _, n, _ in rest), sum(us for *_, us in rest)))
    whole = max(seconds * 1e6, sum(us for *_, us in own))
    shown.append(("between operations", 0, whole - sum(us for *_, us in own)))
    return [
        {
            "op": name,
            "calls": round(count / steps, 1),
            "ms": round(us / 1e3 / steps, 3),
            "share": round(us / whole, 3),
        }
        for name, count, us in shown
    ]


def as_table(ops: Sequence[dict[str, Any]]) -> str:
    lines = [f"{'operation':44} {'calls':>7} {'ms':>9} {'share':>6}"]
    lines += [
        f"{op['op'][:44]:44} {op['calls']:7g} {op['ms']:9.2f} {op['share']:6.1%}" for op in ops
    ]
    return "\n".join(lines)


def gpu_use(work: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Memory before the work and added by it, and the share of its time in which the GPU computes;
    empty on a CPU."""
    if device.type != "cuda":
        return {}
    torch.cuda.reset_peak_memory_stats(device)
    standing = torch.cuda.memory_allocated(device)
    seconds = seconds_of(work, device)
    peak = torch.cuda.max_memory_allocated(device)
    busy = sum(_own_us(event, device) for event in _profiled(work, device)[0]) / 1e6
    return {
        "standing_mb": round(standing / 2**20),
        "step_mb": round((peak - standing) / 2**20),
        "utilisation": round(min(1.0, busy / seconds), 3),
    }


@contextmanager
def _kernels_by_name() -> Iterator[None]:
    """Makes the profiler show the engine's C++ functions, unknown to it, by name."""
    found = kernels.function_of

    def named(name: str, dtype: torch.dtype) -> Callable[..., None] | None:
        function = found(name, dtype)
        return function and torch.profiler.record_function(f"kernels.{name}")(function)

    kernels.function_of = named
    try:
        yield
    finally:
        kernels.function_of = found


def _profiled(work: Callable[[], object], device: torch.device) -> tuple[Any, float]:
    from torch.profiler import ProfilerActivity, profile

    on_gpu = [ProfilerActivity.CUDA] if device.type == "cuda" else []
    with profile(activities=[ProfilerActivity.CPU, *on_gpu]) as found:
        seconds = seconds_of(work, device)
    return found.key_averages(), seconds


def _own_us(event: Any, device: torch.device) -> float:
    own = event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
    return float(own)
