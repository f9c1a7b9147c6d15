"""The vectors of all adapters that can be compared, in one array, searched by one matrix product.

A shelf follows the index and reads only the vectors that were added since the last time.
"""

from __future__ import annotations

import numpy as np

from client.adapters.entry import Vector
from client.adapters.index import AdapterIndex, Numbers

ROUNDING = 1e-6  # tolerance, so that a query finds its own adapter at threshold 1


class Shelf:
    def __init__(self, name: str, dimension: int) -> None:
        self.name = name
        self._version: tuple[int, int] | None = None
        self._numbers: Numbers = np.empty(0, np.int64)
        # unit vectors in the first rows, then free rows
        self._rows = np.empty((64, dimension), np.float32)

    def follow(self, index: AdapterIndex) -> None:
        version = index.version
        if version == self._version:
            return
        # the index was rebuilt, so numbers have changed
        if self._version is None or version[0] != self._version[0]:
            self._numbers = self._numbers[:0]
        self._let_go(index.numbers(self.name))
        last = int(self._numbers[-1]) if len(self._numbers) else 0
        self._take_in(*index.vectors(self.name, above=last))
        self._version = version

    def nearest(self, query: Vector, most: int, at_least: float) -> list[tuple[int, float]]:
        """Numbers and cosine similarities of the nearest entries, best first; of equally near ones,
        the oldest first."""
        cosines = self._rows[: len(self._numbers)] @ query
        near = np.flatnonzero(cosines >= at_least - ROUNDING)
        best = near[np.argsort(-cosines[near], kind="stable")[:most]]
        return [(int(self._numbers[i]), min(1.0, float(cosines[i]))) for i in best]

    def _let_go(self, there: Numbers) -> None:
        staying = np.isin(self._numbers, there)
        if not staying.all():
            self._rows[: staying.sum()] = self._rows[: len(staying)][staying]
            self._numbers = self._numbers[staying]

    def _take_in(self, numbers: Numbers, vectors: list[bytes]) -> None:
        if not vectors:
            return
        before, after = len(self._numbers), len(self._numbers) + len(vectors)
        dimension = self._rows.shape[1]
        if after > len(self._rows):
            wider = np.empty((max(after, 2 * len(self._rows)), dimension), np.float32)
            wider[:before] = self._rows[:before]
            self._rows = wider
        rows = np.frombuffer(b"".join(vectors), dtype="<f4").reshape(-1, dimension)
        self._rows[before:after] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        self._numbers = np.concatenate([self._numbers, numbers])
