"""A file that is checked against its checksums block by block, each block before its first use.

So a knowledge base of gigabytes opens at once, and still no part of it is used unchecked.
"""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hone.errors import Damaged
from kb.pieces import Offsets, read_pieces

BLOCK = 1 << 22  # bytes
Blocks = npt.NDArray[np.int64] | slice  # which blocks of a file, by number


@dataclass(frozen=True)
class FileStamp:
    """The size of a file in bytes, and the sha256 of each of its blocks."""

    size: int
    blocks: tuple[str, ...]

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        size = path.stat().st_size
        with path.open("rb") as file:
            return cls(size, tuple(_sums(file.fileno(), range(-(-size // BLOCK)))))


class CheckedFile:
    """The file stays open, so what is read is the same file even after another replaces it."""

    def __init__(self, path: Path, stamp: FileStamp) -> None:
        check_size(path, stamp)
        self.path, self._stamp = path, stamp
        self._handle = os.open(path, os.O_RDONLY)
        self.close = weakref.finalize(self, os.close, self._handle)
        self._unchecked = np.ones(len(stamp.blocks), dtype=np.bool_)
        self._lock = threading.Lock()

    def check(self, blocks: Blocks = slice(None)) -> None:
        """Checks those of the blocks that have not been checked before."""
        if not self._unchecked[blocks].any():
            return
        with self._lock:
            asked = np.zeros_like(self._unchecked)
            asked[blocks] = True
            waiting = np.flatnonzero(asked & self._unchecked).tolist()
            for block, found in zip(waiting, _sums(self._handle, waiting), strict=True):
                if found != self._stamp.blocks[block]:
                    raise Damaged(
                        f"{self.path} has changed since it was written (in its block {block} of"
                        f" {BLOCK >> 20} MiB); rebuild the knowledge base"
                    )
            self._unchecked[waiting] = False

    def read_pieces(self, offsets: Offsets, into: npt.NDArray[np.float32]) -> None:
        """Fills each row of `into` from its offset. The caller has checked the blocks."""
        read_pieces(self._handle, self.path, offsets, into)


def check_size(path: Path, stamp: FileStamp) -> None:
    """Checks what can be seen without reading: that the file is there and has its size."""
    if not path.is_file():
        raise Damaged(f"{path.parent} lacks {path.name}; rebuild the knowledge base")
    if (size := path.stat().st_size) != stamp.size:
        raise Damaged(
            f"{path} has {size} bytes, {stamp.size} were written; rebuild the knowledge base"
        )


def _sums(handle: int, blocks: Iterable[int]) -> Iterator[str]:
    """The sha256 of each block in order, computed on all processors."""

    def one(block: int) -> str:
        return hashlib.sha256(os.pread(handle, BLOCK, block * BLOCK)).hexdigest()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(one, blocks)
