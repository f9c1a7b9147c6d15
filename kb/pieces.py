"""Reads many short pieces that are scattered over a file.

A mapped file would bring in what surrounds each piece: 64 KiB, or 2 MiB where the system caches the
file in large pages, and mapping these takes longer than the rest of a search. `os.pread` releases
the interpreter's lock at every piece, and a server with other threads does not get it back soon. So
the C library's `pread` is called with the lock held: a file that is searched is in the cache, and
from there a piece takes a microsecond.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hone.errors import Damaged

if TYPE_CHECKING:
    from pathlib import Path

Offsets = npt.NDArray[np.int64]


def read_pieces(handle: int, path: Path, offsets: Offsets, into: npt.NDArray[np.float32]) -> None:
    """Fills each row of `into` from its offset in the file, in bytes."""
    read, width, start = _pread(), into.strides[0], into.ctypes.data
    for place, offset in enumerate(offsets.tolist()):
        if read(handle, start + place * width, width, offset) != width:
            raise Damaged(
                f"{path} cannot be read at byte {offset}"
                f" ({os.strerror(ctypes.get_errno())}); rebuild the knowledge base"
            )


@cache
def _pread() -> Any:
    """The C library's pread, which PyDLL calls without releasing the interpreter's lock."""
    read = ctypes.PyDLL(None, use_errno=True).pread
    read.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)
    read.restype = ctypes.c_ssize_t
    return read
