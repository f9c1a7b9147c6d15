"""How much memory is free where a base would stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

_OWN = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Version:
    """How Linux shows the limits of groups."""

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
    """Of the GPU, or what Linux says can be had without swapping, within the process's own limit;
    None where neither can be asked."""
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
    """What the limits of the process's group leave, and of those that this is in."""
    found = [
        free
        for version in VERSIONS
        for folder in (version.root, *(version.root / own for own in _own_groups()))
        if (free := _left(folder, version)) is not None
    ]
    return min(found, default=None)


def _own_groups() -> Iterator[PurePosixPath]:
    """Paths of the process's group and of all above it; in a container they may not be there."""
    with suppress(OSError):
        for line in _OWN.read_text().splitlines():
            _, kind, path = line.split(":", 2)
            if kind in ("", "memory"):
                own = PurePosixPath(path).relative_to("/")
                yield from (own, *own.parents)


def _left(folder: Path, version: Version) -> int | None:
    """Cached files give way and are not counted."""
    with suppress(OSError, ValueError, KeyError):
        limit, used = (int((folder / name).read_text()) for name in (version.limit, version.used))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return limit - used + sum(int(stat[name]) for name in version.cached)
    return None
