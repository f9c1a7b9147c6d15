"""Caches what the frozen layers below the lowest adapter compute for an item, for its next epoch.

States go to memory until that is full, then to a nameless file in the temporary folder, which the
system removes however the process ends; what fits in neither is computed anew each time. Nothing is
evicted: an epoch asks for all items in turn, so eviction would only lose what is asked for next. A
slot's states are released when the next adapter takes the slot.
"""

from __future__ import annotations

import sys
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from arc.formats import Encoded
from models.multilora.packed import Placed

DISK_TIMES = 8  # the file holds at most so many times the memory's bytes
PAGE = 1 << 16

Compute = Callable[[Sequence[Placed]], Sequence[torch.Tensor]]  # computes the states of each item


class FeatureStore:
    """Items are identified by object identity: a slot trains on the same objects each epoch."""

    def __init__(self, memory_bytes: int, disk_bytes: int | None = None) -> None:
        self.memory_bytes = memory_bytes
        self.memory_used = 0
        disk = DISK_TIMES * memory_bytes if disk_bytes is None else disk_bytes
        self._pages = PageFile(disk // PAGE)
        self._entries: dict[int, _Entry] = {}

    @property
    def disk_used(self) -> int:
        return self._pages.taken * PAGE

    def states(self, part: Sequence[Placed], compute: Compute) -> torch.Tensor:
        """The states of all items, one after the other; those not cached are computed together."""
        items = {id(placed.encoded): placed for placed in part}
        found = {key: self._entries[key] for key in items if key in self._entries}
        missing = [placed for key, placed in items.items() if key not in found]
        fresh = compute(missing) if missing else []
        ready = {key: self._read(entry) for key, entry in found.items()}
        for placed, states in zip(missing, fresh, strict=True):
            ready[id(placed.encoded)] = states
            self._keep(placed, states)
        return torch.cat([ready[id(placed.encoded)] for placed in part])

    def release(self, slot: int) -> None:
        """Forgets the states of the slot's items."""
        for key in [key for key, entry in self._entries.items() if entry.slot == slot]:
            entry = self._entries.pop(key)
            if isinstance(entry.kept, torch.Tensor):
                self.memory_used -= entry.kept.nbytes
            else:
                self._pages.free(entry.kept)

    def _keep(self, placed: Placed, states: torch.Tensor) -> None:
        kept: torch.Tensor | list[int] | None
        if self.memory_used + states.nbytes <= self.memory_bytes:
            kept = states.to("cpu", copy=True)
            self.memory_used += states.nbytes
        else:
            kept = self._pages.write(states.cpu())
        if kept is not None:
            self._entries[id(placed.encoded)] = _Entry(
                placed.encoded, placed.slot, kept, states.shape, states.dtype, states.device
            )

    def _read(self, entry: _Entry) -> torch.Tensor:
        if isinstance(entry.kept, torch.Tensor):
            return entry.kept.to(entry.device)
        states = torch.empty(entry.shape, dtype=entry.dtype)
        self._pages.read(entry.kept, states)
        return states.to(entry.device)


@dataclass(frozen=True)
class _Entry:
    item: Encoded  # kept alive, so that no other item gets its identity
    slot: int
    kept: torch.Tensor | list[int]  # the states in memory, or their pages in the file
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device


class PageFile:
    """A nameless file of at most `pages` pages, made when the first is written."""

    def __init__(self, pages: int) -> None:
        self._left, self._next = pages, 0
        self._freed: list[int] = []
        self._file: Any = None

    @property
    def taken(self) -> int:
        return self._next - len(self._freed)

    def write(self, states: torch.Tensor) -> list[int] | None:
        """The pages that the states were written to; None where there is no room."""
        content = _bytes_of(states)
        many = -(-len(content) // PAGE)
        if many > self._left:
            return None
        pages = self._take(many)
        try:
            file = self._opened()
            for i, page in enumerate(pages):
                file.seek(page * PAGE)
                _write_all(file, content[i * PAGE : (i + 1) * PAGE])
        except OSError as error:
            print(
                f"note: no more features fit into {tempfile.gettempdir()} ({error.strerror});"
                " the others are computed again in each epoch",
                file=sys.stderr,
            )
            self.free(pages)
            self._left = 0
            return None
        return pages

    def read(self, pages: Sequence[int], states: torch.Tensor) -> None:
        into = _bytes_of(states)
        for i, page in enumerate(pages):
            self._file.seek(page * PAGE)
            self._file.readinto(into[i * PAGE : (i + 1) * PAGE])

    def free(self, pages: Sequence[int]) -> None:
        self._freed += pages
        self._left += len(pages)

    def _take(self, many: int) -> list[int]:
        self._left -= many
        pages = [self._freed.pop() for _ in range(min(many, len(self._freed)))]
        fresh = range(self._next, self._next + many - len(pages))
        self._next = fresh.stop
        return [*pages, *fresh]

    def _opened(self) -> Any:
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as self
            weakref.finalize(self, self._file.close)
        return self._file


def _write_all(file: Any, content: memoryview) -> None:
    while content:
        content = content[file.write(content) :]


def _bytes_of(states: torch.Tensor) -> memoryview:
    return states.contiguous().view(-1).view(torch.uint8).numpy().data
