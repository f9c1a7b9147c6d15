"""Measures how much memory a process holds on its base's device, now and at its peak.

    with MemoryMonitor(torch.device("cpu")) as monitor:
        ...
        monitor.now(), monitor.peak(), monitor.lap()    # bytes

On a CPU this is the process's resident memory, of which torch itself takes a few hundred MB; on a
GPU it is what torch has allocated there.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import torch

SECONDS = 0.02  # between two samples


class MemoryMonitor:
    """`lap` is exact where the lap set a new peak, and otherwise as good as the samples."""

    def __init__(self, device: torch.device, every: float = SECONDS) -> None:
        self.device, self.every = device, every
        self._highest = 0  # the highest sample of this lap
        self._peak_before = 0  # the process's peak when this lap began
        self._stop: Event | None = None

    def __enter__(self) -> MemoryMonitor:
        self.lap()
        self._stop = Event()
        self._thread = Thread(target=self._sample, args=(self._stop,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._stop is not None
        self._stop.set()
        self._thread.join()

    def now(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.memory_allocated(self.device)
        return _resident()

    def peak(self) -> int:
        """The peak since the process began."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return max(_most_resident(), self._highest)

    def lap(self) -> int:
        """The peak since the last lap, or since the monitor was entered."""
        peak, now = self.peak(), self.now()
        most = peak if peak > self._peak_before else max(self._highest, now)
        self._peak_before, self._highest = peak, now
        return most

    def _sample(self, stop: Event) -> None:
        while not stop.wait(self.every):
            self._highest = max(self._highest, self.now())


def _resident() -> int:
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return _most_resident()  # all that other systems tell without further libraries


def _most_resident() -> int:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10
