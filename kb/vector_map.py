"""A sample of a knowledge base's vectors, projected onto a plane to be drawn.

    found = vector_map(store)     # found.places[i] is the place of the vector of row found.rows[i]

The plane is spanned by the two directions in which the sample spreads most (principal components).
A knowledge base always has the same map: rows are taken at even steps, the iteration starts with
fixed directions, and signs are fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kb.store import Rows, Store

MOST = 2000  # points, divided among the sources by size
FEWEST = 20  # points of a source whose share would be too small to see
_DIRECTIONS, _ROUNDS = 8, 30  # of the iteration, which finds two more exactly than a drawing shows
Places = npt.NDArray[np.float64]


@dataclass(frozen=True)
class VectorMap:
    rows: Rows  # [points]
    sources: Rows  # [points] index among the manifest's sources
    places: Places  # [points, 2]
    shown: float  # share of the sample's variance that the plane shows


def vector_map(store: Store) -> VectorMap:
    rows, sources = sampled(store.manifest.sources)
    vectors = store.vectors(rows).astype(np.float64)
    return VectorMap(rows, sources, *flattened(vectors - vectors.mean(axis=0)))


def sampled(sources: Mapping[str, int], most: int = MOST) -> tuple[Rows, Rows]:
    """Rows at even steps through every source, and the index of each row's source."""
    total, start = sum(sources.values()), 0
    fewest = max(1, min(FEWEST, most // len(sources)))
    parts: list[Rows] = []
    for count in sources.values():
        wanted = min(count, max(fewest, most * count // total))
        parts.append(start + np.arange(wanted, dtype=np.int64) * count // max(1, wanted))
        start += count
    numbers = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.concatenate(parts), numbers


def flattened(centred: Places) -> tuple[Places, float]:
    """[points, dimension] with mean zero -> [points, 2], and the share of the variance it shows.

    By orthogonal iteration: its cost grows with the dimension, while that of all principal
    components grows with its cube."""
    width = min(_DIRECTIONS, *centred.shape)
    basis = np.random.default_rng(0).normal(size=(centred.shape[1], width))
    for _ in range(_ROUNDS):
        basis, _ = np.linalg.qr(centred.T @ (centred @ basis))
    _, spread, turn = np.linalg.svd(centred @ basis, full_matrices=False)
    directions = _with_settled_signs((basis @ turn.T)[:, :2])
    whole = float((centred**2).sum())
    places = np.zeros((len(centred), 2))  # a single record, or dimension, spans no plane
    places[:, : directions.shape[1]] = centred @ directions
    return places, float((spread[:2] ** 2).sum()) / whole if whole > 0 else 1.0


def _with_settled_signs(directions: Places) -> Places:
    """Turns each direction so that its number of largest magnitude is positive."""
    largest = np.abs(directions).argmax(axis=0)
    signs = np.sign(np.take_along_axis(directions, largest[None], axis=0))
    return np.asarray(directions * np.where(signs == 0, 1, signs))
