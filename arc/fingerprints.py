"""Fingerprints of pairs: one number for all looks of a pair, so that copies are recognised.

    pair_fingerprint(pair) == pair_fingerprint(turned, mirrored or recoloured pair)

Each of the eight symmetries is applied to both grids, colours are renumbered in the order in which
they appear, and the result is spelled. The least of the eight spellings is hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from arc.augment import symmetry
from arc.grid import Grid
from arc.steps import SYMMETRIES
from arc.task import Pair

Fingerprints = npt.NDArray[np.uint64]
_LOOKS = tuple(symmetry(name) for name in SYMMETRIES)


def pair_fingerprint(pair: Pair) -> int:
    """64 bits; they differ for the same input with and without its output."""
    grids = [cells for cells in (pair.input, pair.output) if cells is not None]
    spelled = min(_spelled([look.grid(cells) for cells in grids]) for look in _LOOKS)
    return int.from_bytes(hashlib.sha256(spelled).digest()[:8], "big")


def fingerprints(pairs: Iterable[Pair]) -> Fingerprints:
    """The different fingerprints in ascending order; `np.isin` finds what two such arrays share."""
    return np.unique(np.array([pair_fingerprint(pair) for pair in pairs], dtype=np.uint64))


def _spelled(grids: list[Grid]) -> bytes:
    """Shapes, then cells with colours renumbered by first appearance."""
    shapes = bytes(side for cells in grids for side in cells.shape)
    cells = b"".join(cells.tobytes() for cells in grids)
    seen = bytes(dict.fromkeys(cells))
    return shapes + cells.translate(bytes.maketrans(seen, bytes(range(len(seen)))))
