"""How much memory is free on the device that a base is to be loaded to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

_OWN = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Version:
    """Where one version of Linux's control groups shows the limits and use of memory."""

    root: Path
    limit: str
    used: str
    cached: tuple[str, str]


VERSIONS = (
    Version(
        Path("/sys/fs/cgroup"), "memory.max", "memory.current", ("active_file", "inactive_file")
    ),
    Version(
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_active_file", "total_inactive_file"),
    ),
)


def free_bytes(device: torch.device) -> int | None:
    """The free bytes of the GPU, or those of the machine that can be had without swapping and
    within the limits of the process's control groups; None where neither can be asked."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    known = [free for free in (_of_machine(), _of_group()) if free is not None]
    return min(known, default=None)


def _of_machine() -> int | None:
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return None


def _of_group() -> int | None:
    """The bytes that the limits of the process's control group, and of those above it, leave."""
    found = [
        free
        for version in VERSIONS
        for folder in (version.root, *(version.root / own for own in _own_groups()))
        if (free := _left(folder, version)) is not None
    ]
    return min(found, default=None)


def _own_groups() -> Iterator[PurePosixPath]:
    """The process's group and all above it; inside a container their paths may not exist."""
    with suppress(OSError):
        for line in _OWN.read_text().splitlines():
            _, kind, path = line.split(":", 2)
            if kind in ("", "memory"):
                own = PurePosixPath(path).relative_to("/")
                yield from (own, *own.parents)


def _left(folder: Path, version: Version) -> int | None:
    """The bytes that one group's limit leaves. Cached files give way, so they count as free."""
    with suppress(OSError, ValueError, KeyError):
        limit, used = (int((folder / name).read_text()) for name in (version.limit, version.used))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return limit - used + sum(int(stat[name]) for name in version.cached)
    return None
