"""SIFT against the formula it stands for: the variance at the query, by inverting a matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from kb.selection import candidates_for, counted, sift

Floats = npt.NDArray[np.float64]


def _unit(rng: np.random.Generator, count: int, dimension: int) -> npt.NDArray[np.float32]:
    rows = rng.normal(size=(count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _variance(query: Floats, picked: Floats, lam: float) -> float:
    kernel = picked @ picked.T + lam * np.eye(len(picked))
    seen = picked @ query
    return float(query @ query - seen @ np.linalg.inv(kernel) @ seen)


def _by_definition(query: Floats, points: Floats, k: int, lam: float) -> list[int]:
    picks: list[int] = []
    for _ in range(k):
        left = [_variance(query, points[[*picks, j]], lam) for j in range(len(points))]
        picks.append(int(np.argmin(left)))
    return picks


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("lam", [0.01, 0.3])
def test_sift_picks_what_leaves_least_unknown(seed: int, lam: float) -> None:
    rng = np.random.default_rng(seed)
    points, query = _unit(rng, 25, 6), _unit(rng, 1, 6)[0]
    expected = _by_definition(query.astype(np.float64), points.astype(np.float64), 12, lam)
    assert sift(query, points, 12, lam) == expected


def test_first_pick_is_the_nearest_and_copies_are_not_preferred() -> None:
    copy, other = [1.0, 0.2, 0.0], [0.0, 1.0, 0.2]
    points = np.array([other, copy, copy, copy], dtype=np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    query = np.array([0.8, 0.6, 0], dtype=np.float32)
    assert sift(query, points, 2) == [1, 0]  # the two nearest are copies


def test_repeated_picks_become_multiplicity_in_order_of_first_picks() -> None:
    assert counted([4, 2, 4, 4, 0, 2]) == [(4, 3), (2, 2), (0, 1)]
    rng = np.random.default_rng(0)
    picks = counted(sift(_unit(rng, 1, 3)[0], _unit(rng, 4, 3), 50))
    assert sum(times for _, times in picks) == 50 and len(picks) <= 4


def test_enough_candidates_for_any_k() -> None:
    assert candidates_for(1) >= 1 and candidates_for(1000) >= 1000
