"""Which of the nearest records to train on: SIFT, which weighs nearness against repetition.

Nearest neighbours say the same thing many times. SIFT (Huebotter et al.) picks one record after
another so that what remains unknown about the query shrinks fastest: with inner products as
kernel, the variance at the query after observing the picks with noise `lam`. A record may be
picked again, when seeing it twice teaches more than seeing another once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
NOISE = 0.01
CANDIDATES = 200  # nearest records among which SIFT picks, at least


def candidates_for(k: int) -> int:
    return max(CANDIDATES, 2 * k)


def sift(
    query: npt.NDArray[np.float32], candidates: npt.NDArray[np.float32], k: int, lam: float = NOISE
) -> list[int]:
    """Indices of `k` picks among the candidates [n, dimension], in order, repeats included."""
    points: Floats = candidates.astype(np.float64)
    to_query = points @ query.astype(np.float64)  # covariance with the query, given the picks
    variance = (points**2).sum(1)
    columns: Floats = np.empty((k, len(points)))  # Cholesky columns of the picks so far
    picks: list[int] = []
    for i in range(k):
        pick = int((to_query**2 / (variance + lam)).argmax())
        covariance = points @ points[pick] - columns[:i].T @ columns[:i, pick]
        columns[i] = covariance / np.sqrt(variance[pick] + lam)
        to_query = to_query - columns[i] * (to_query[pick] / np.sqrt(variance[pick] + lam))
        variance = np.maximum(variance - columns[i] ** 2, 0)
        picks.append(pick)
    return picks


def counted(picks: list[int]) -> list[tuple[int, int]]:
    """Each pick once with its multiplicity, in the order of first picks."""
    counts: dict[int, int] = {}
    for pick in picks:
        counts[pick] = counts.get(pick, 0) + 1
    return list(counts.items())
