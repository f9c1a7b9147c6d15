"""How cells depend on their surroundings, hashed to a vector that ignores colours and symmetries.

Each cell has a neighbourhood: its 3x3 patch, or the first colour it meets in each of the four
directions. Together with what the cell becomes, the neighbourhood is brought to a canonical form
under the eight symmetries and all renamings of colours. The canonical forms are counted, and the
counts are spread over a short vector with fixed random signs.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from arc.grid import Grid

Codes = npt.NDArray[np.int64]
Cells = npt.NDArray[np.int64]  # [neighbourhoods, places]

EMPTY, OUTSIDE = 14, 15  # in a neighbourhood: the background, and places beyond the edge
_BASE = 16
_OFFSETS = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1)]
_DIRECTIONS = [(-1, 0), (0, 1), (1, 0), (0, -1)]


def _permutations(places: list[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """For each of the eight symmetries, the number of the place to which each place goes."""
    rows = []
    for swap, a, b in itertools.product((False, True), (1, -1), (1, -1)):
        turned = [(a * c, b * r) if swap else (a * r, b * c) for r, c in places]
        rows.append([places.index(place) for place in turned])
    return np.array(rows)


_PATCH_TURNS = _permutations(_OFFSETS)
_RAY_TURNS = _permutations(_DIRECTIONS)


def patches(cells: Grid, background: int) -> Cells:
    """[cells, 9]: the 3x3 neighbourhood of each cell."""
    named = np.where(cells == background, EMPTY, cells.astype(np.int64))
    wide = np.pad(named, 1, constant_values=OUTSIDE)
    height, width = cells.shape
    around = [wide[1 + r : 1 + r + height, 1 + c : 1 + c + width].ravel() for r, c in _OFFSETS]
    return np.stack(around, axis=1)


def rays(cells: Grid, background: int) -> Cells:
    """[cells, 4]: the first colour that each cell meets in each direction, or OUTSIDE."""
    named = np.where(cells == background, EMPTY, cells.astype(np.int64))
    return np.stack([_seen(named, r, c).ravel() for r, c in _DIRECTIONS], axis=1)


def patch_codes(around: Cells, becomes: Cells | None = None) -> Codes:
    return _canonical(around, becomes, _PATCH_TURNS)


def ray_codes(seen: Cells, becomes: Cells) -> Codes:
    return _canonical(seen, becomes, _RAY_TURNS)


def spread(codes: Codes, dimension: int, salt: int) -> npt.NDArray[np.float64]:
    """A vector in which every code adds its own fixed random signs, times the square root of its
    share. The signs of different codes are nearly orthogonal."""
    if not len(codes):
        return np.zeros(dimension)
    kinds, counts = np.unique(codes, return_counts=True)
    shares = np.sqrt(counts / counts.sum())
    return np.asarray(shares @ _signs(kinds, dimension, salt) / np.sqrt(dimension))


def _seen(named: npt.NDArray[np.int64], r: int, c: int) -> npt.NDArray[np.int64]:
    """The first colour that each cell meets looking along (r, c), or OUTSIDE."""
    lines = named if c else named.T
    forward = (r + c) > 0
    lines = lines[:, ::-1] if forward else lines
    seen = np.full_like(lines, OUTSIDE)
    for i in range(1, lines.shape[1]):  # the neighbour's colour, or what it sees if it is empty
        seen[:, i] = np.where(lines[:, i - 1] == EMPTY, seen[:, i - 1], lines[:, i - 1])
    seen = seen[:, ::-1] if forward else seen
    return seen if c else seen.T


def _canonical(around: Cells, becomes: Cells | None, turns: npt.NDArray[np.int64]) -> Codes:
    """One number per neighbourhood, the same under every symmetry and renaming of colours."""
    extra = around[:, :0] if becomes is None else becomes
    joined = np.concatenate([around, extra], axis=1)
    raw, where = np.unique(_number(joined), return_inverse=True)
    kinds = _spelled(raw, joined.shape[1])
    tail = np.arange(around.shape[1], joined.shape[1])
    forms = [_number(_renamed(kinds[:, np.concatenate([turn, tail])])) for turn in turns]
    best: Codes = np.min(forms, axis=0)[where]
    return best


def _renamed(kinds: Cells) -> Cells:
    """Each colour becomes the first place where it stands; EMPTY and OUTSIDE stay."""
    first = (kinds[:, :, None] == kinds[:, None, :]).argmax(2)
    return np.where(kinds >= EMPTY, kinds, first)


def _number(kinds: Cells) -> Codes:
    weights = _BASE ** np.arange(kinds.shape[1], dtype=np.int64)
    return np.asarray(kinds @ weights)


def _spelled(numbers: Codes, places: int) -> Cells:
    weights = _BASE ** np.arange(places, dtype=np.int64)
    return numbers[:, None] // weights % _BASE


def _signs(kinds: Codes, dimension: int, salt: int) -> npt.NDArray[np.float64]:
    """[kinds, dimension] of +1 and -1, from the bits of a hash (splitmix64's mixing)."""
    blocks = np.arange((dimension + 63) // 64, dtype=np.uint64)
    with np.errstate(over="ignore"):
        x = kinds.astype(np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15)
        x = x + (blocks + np.uint64(1000 * salt + 1)) * np.uint64(0xD1B54A32D192ED03)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
        x = x ^ (x >> np.uint64(31))
    bits = (x[:, :, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    return bits.reshape(len(kinds), -1)[:, :dimension].astype(np.float64) * 2 - 1
