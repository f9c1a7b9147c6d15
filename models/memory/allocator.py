"""What the C library does with memory that was freed.

By default glibc returns the end of the heap to the system after every step, and the next step
faults each page in again (70,000 pages on the bundled base, a fifth of the step's time). Yet it
keeps freed single blocks of up to 32 MB that are never asked for again. The functions here change
these settings of glibc; with another C library they do nothing.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

KEPT = 1 << 30  # free bytes at the end of the heap that are not returned
LARGE_BLOCK = 256 << 10
_LARGEST_BLOCK = 32 << 20  # the largest that glibc takes from the heap
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's parameters, from glibc's malloc.h


def keep_for_the_next_step() -> None:
    """The heap stays as large as the largest step made it."""
    _set(trim_above=KEPT, mapped_from=_LARGEST_BLOCK)


def give_back_at_once() -> None:
    """Freed blocks return to the system at once, unless they are small. A step takes a fifth to a
    quarter longer, so this is for when memory is short."""
    _set(trim_above=LARGE_BLOCK, mapped_from=LARGE_BLOCK)


def _set(*, trim_above: int, mapped_from: int) -> None:
    with suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, trim_above)
        library.mallopt(_MMAP_THRESHOLD, mapped_from)
