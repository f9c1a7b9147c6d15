"""What the C library does with memory that is let go.

By its defaults glibc gives the end of the heap back whenever a step is over, and the next step
meets every page of it anew (70,000 of them on the bundled base, a fifth of the step); and yet it
keeps single blocks of up to 32 MB that are never asked for again. Other C libraries go on as they
do.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

KEPT = 1 << 30  # bytes at the end of the heap
LARGE_BLOCK = 256 << 10
_LARGEST_BLOCK = 32 << 20  # that glibc takes from the heap
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt, in glibc's malloc.h


def keep_for_the_next_step() -> None:
    """The heap stays as large as a step needed it."""
    _set(trim_above=KEPT, mapped_from=_LARGEST_BLOCK)


def give_back_at_once() -> None:
    """Blocks that are not small go back to the system when they are let go. Steps take a fifth to a
    quarter longer, so it is for where memory is short."""
    _set(trim_above=LARGE_BLOCK, mapped_from=LARGE_BLOCK)


def _set(*, trim_above: int, mapped_from: int) -> None:
    with suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, trim_above)
        library.mallopt(_MMAP_THRESHOLD, mapped_from)
