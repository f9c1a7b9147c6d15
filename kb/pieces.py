"""Many short pieces of a file, each read where it stands.

A mapped file would bring in what is around each piece: 64 KiB, or 2 MiB where the system's cache
holds the file in large parts, and mapping these takes longer than all else a search does. Reading
by `os.pread` gives the interpreter's lock away at every piece, and a server with other threads does
not get it back soon. So the system's own `pread` is called with the lock held: of a file that is in
the cache, as one that is searched is, a piece takes a microsecond.
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
    """A row of `into` for each offset, in bytes."""
    read, width, start = _pread(), into.strides[0], into.ctypes.data
    for place, offset in enumerate(offsets.tolist()):
        if read(handle, start + place * width, width, offset) != width:
            raise Damaged(
                f"{path} cannot be read at byte {offset}"
                f" ({os.strerror(ctypes.get_errno())}); rebuild the knowledge base"
            )


@cache
def _pread() -> Any:
    """The C library's, which PyDLL calls without letting other threads run."""
    read = ctypes.PyDLL(None, use_errno=True).pread
    read.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)
    read.restype = ctypes.c_ssize_t
    return read
