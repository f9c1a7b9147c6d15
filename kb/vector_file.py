"""The vectors of a knowledge base: one mapped .npy file, whose rows are checked before use."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hone.errors import Damaged
from kb.checked_file import BLOCK, CheckedFile, FileStamp

Vectors = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Found = tuple[Scores, Rows]  # the result of a search: [queries, k] each, best first


class VectorFile:
    """[rows, dimension] float32; safe to read from many threads."""

    def __init__(self, path: Path, stamp: FileStamp, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._file = CheckedFile(path, stamp)
        self._file.check(slice(0, 1))  # the block with the header
        self._rows = _mapped(path, shape)
        self._first, self._width = int(self._rows.offset), shape[1] * 4  # bytes

    def rows(self, rows: Rows) -> Vectors:
        """A copy of the vectors of these rows."""
        self._checked_places(rows)
        return np.asarray(self._rows[rows])

    def few(self, rows: Rows) -> Vectors:
        """The same, read without mapping, for when the file is not to stay in memory."""
        found = np.empty((len(rows), self.shape[1]), dtype=np.float32)
        self._file.read_pieces(self._checked_places(rows), found)
        return found

    def _checked_places(self, rows: Rows) -> Rows:
        """Checks the blocks of these rows; returns where the rows begin, in bytes."""
        first = self._first + rows * self._width
        self._file.check(first // BLOCK)
        self._file.check((first + self._width - 1) // BLOCK)
        return first

    def run(self, rows: range) -> Vectors:
        """A view of consecutive rows, as they lie in the file."""
        first, end = (self._first + row * self._width for row in (rows.start, rows.stop))
        self._file.check(slice(first // BLOCK, -(-end // BLOCK)))
        return self._rows[rows.start : rows.stop]

    def runs(self, size: int) -> list[range]:
        """All rows as ranges of `size` rows."""
        count = self.shape[0]
        return [range(start, min(start + size, count)) for start in range(0, count, size)]

    def give_back(self) -> None:
        """Releases the pages that were read, which then remain only in the system's cache."""
        assert isinstance(self._rows.base, mmap.mmap)
        if hasattr(mmap, "MADV_DONTNEED"):
            self._rows.base.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        self._file.close()


def npy_header(shape: tuple[int, int]) -> bytes:
    """The header of the .npy file. numpy leaves room for the count, so its length is fixed."""
    from io import BytesIO

    header = BytesIO()
    told = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, told)
    return header.getvalue()


def _mapped(path: Path, shape: tuple[int, int]) -> np.memmap[Any, np.dtype[np.float32]]:
    try:
        mapped: np.memmap[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise Damaged(f"{path} holds no vectors: {error}; rebuild the knowledge base") from None
    if mapped.shape != shape or mapped.dtype != np.float32:
        raise Damaged(f"{path} holds {mapped.shape} {mapped.dtype}, {shape} was expected")
    return mapped
