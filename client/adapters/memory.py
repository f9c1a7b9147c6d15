"""The memory tier: keeps recently used or stored adapters in memory, so that no file is read."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.multilora.peft_files import AdapterFiles

Version = tuple[str, float]  # an entry's id, and when its present adapter was stored


class AdapterMemory:
    """The most recently used adapters, up to `most` bytes; never one that is larger than that."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: OrderedDict[Version, AdapterFiles] = OrderedDict()
        self._lock = Lock()  # a background thread stores adapters while others are looked up

    def find(self, version: Version) -> AdapterFiles | None:
        with self._lock:
            if version in self._held:
                self._held.move_to_end(version)
            return self._held.get(version)

    def hold(self, version: Version, adapter: AdapterFiles) -> None:
        with self._lock:
            self._held[version] = adapter
            self._held.move_to_end(version)
            while self.size > self.most:
                self._held.popitem(last=False)

    @property
    def size(self) -> int:
        return sum(bytes_of(adapter) for adapter in self._held.values())


def bytes_of(adapter: AdapterFiles) -> int:
    return sum(part.nbytes for pair in adapter.tensors.values() for part in pair)
