"""Chooses which of the nearest records to train on: SIFT weighs nearness against repetition.

Nearest neighbours often repeat one another. SIFT (Huebotter et al.) picks records one by one so
that the uncertainty about the query shrinks fastest. With inner products as the kernel, this is the
variance at the query after observing the picks with noise `lam`. A record may be picked again, if
seeing it twice teaches more than seeing another once.

The noise says how little one record tells. With little noise each pick brings something new, and
soon is far from the query; with much noise picks are the nearest records, some of them repeatedly.

With a `stop`, picking ends before the first pick that would remove less than this share of the
initial variance. So few records are picked for a query that they explain well.

The functions depend on their arguments alone: any number of threads may call them at once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
NOISE = 0.01
LEAST_NOISE, MOST_NOISE = 1e-4, 1e3  # beyond these, float32 cannot tell picks apart
CANDIDATES = 1000  # nearest records that SIFT picks from, at least


def candidates_for(k: int) -> int:
    return max(CANDIDATES, 2 * k)


def sift(
    query: Vectors, candidates: Vectors, k: int, lam: float = NOISE, stop: float = 0.0
) -> list[int]:
    """Indices of 1 to `k` picks among the candidates [n, dimension], in the order of picking; an
    index may repeat."""
    to_query = (candidates @ query).astype(np.float64)  # covariance with the query, given the picks
    variance: Floats = np.einsum("nd,nd->n", candidates, candidates).astype(np.float64)
    columns: Floats = np.empty((k, len(candidates)))  # Cholesky columns of the picks so far
    kernel: dict[int, Floats] = {}  # pick -> its products with all candidates; picks repeat
    least = stop * float(query @ query)
    picks: list[int] = []
    for i in range(k):
        gains = to_query**2 / (variance + lam)
        pick = int(gains.argmax())
        if picks and gains[pick] < least:
            break
        if pick not in kernel:
            kernel[pick] = (candidates @ candidates[pick]).astype(np.float64)
        spread = float(np.sqrt(variance[pick] + lam))
        columns[i] = (kernel[pick] - columns[:i, pick] @ columns[:i]) / spread
        to_query -= columns[i] * (to_query[pick] / spread)
        variance = np.maximum(variance - columns[i] ** 2, 0)
        picks.append(pick)
    return picks


def counted(picks: list[int]) -> list[tuple[int, int]]:
    """Each pick once with its multiplicity, in the order of first picks."""
    counts: dict[int, int] = {}
    for pick in picks:
        counts[pick] = counts.get(pick, 0) + 1
    return list(counts.items())
