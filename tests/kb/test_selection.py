"""SIFT against the formula it stands for: the variance at the query, by inverting a matrix."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
import torch

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


def test_more_noise_keeps_picks_nearer_and_repeats_them() -> None:
    rng = np.random.default_rng(1)
    points, query = _unit(rng, 300, 24), _unit(rng, 1, 24)[0]
    picks = [sift(query, points, 16, lam) for lam in (0.01, 1.0, 30.0)]
    near = [float((points[own] @ query).mean()) for own in picks]
    distinct = [len({*own}) for own in picks]
    assert near == sorted(near) and distinct == sorted(distinct, reverse=True)
    assert near[0] < near[2] and distinct[0] > distinct[2]


def test_repeated_picks_become_multiplicity_in_order_of_first_picks() -> None:
    assert counted([4, 2, 4, 4, 0, 2]) == [(4, 3), (2, 2), (0, 1)]
    rng = np.random.default_rng(0)
    picks = counted(sift(_unit(rng, 1, 3)[0], _unit(rng, 4, 3), 50))
    assert sum(times for _, times in picks) == 50 and len(picks) <= 4


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("lam", [0.01, 0.5])
@pytest.mark.filterwarnings("default")  # of activeft and what it imports
def test_picks_are_those_of_the_paper_s_own_package(seed: int, lam: float) -> None:
    activeft = pytest.importorskip("activeft", reason="comes with the extra test")
    from activeft.acquisition_functions.vtl import VTL
    from activeft.sift import Dataset

    rng = np.random.default_rng(seed)
    points, query = _unit(rng, 300, 24), _unit(rng, 1, 24)
    theirs = VTL(torch.tensor(query), noise_std=lam**0.5, num_workers=0, subsample=False)
    loader = activeft.ActiveDataLoader(Dataset(torch.tensor(points)), 32, theirs)
    indices, values = loader.next()
    picks = sift(query[0], points, 32, lam)
    assert picks == np.asarray(indices).tolist()
    left = [
        _variance(query[0].astype(np.float64), points[picks[: i + 1]].astype(np.float64), lam)
        for i in range(32)
    ]
    np.testing.assert_allclose(-np.asarray(values), left, atol=1e-5)


def test_many_threads_pick_the_same() -> None:
    rng = np.random.default_rng(7)
    points, queries = _unit(rng, 400, 32), _unit(rng, 40, 32)
    alone = [sift(query, points, 16) for query in queries]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda query: sift(query, points, 16), queries)) == alone


def test_it_stops_before_a_pick_that_teaches_too_little() -> None:
    rng = np.random.default_rng(2)
    points, query = _unit(rng, 200, 12), _unit(rng, 1, 12)[0]
    every = sift(query, points, 40)
    exact = points.astype(np.float64)
    left = [
        1.0,
        *(_variance(query.astype(np.float64), exact[every[: i + 1]], 0.01) for i in range(40)),
    ]
    gains = -np.diff(left)
    for stop in (0.001, 0.01, 0.1, 0.9):
        expected = next((i for i in range(1, 40) if gains[i] < stop), 40)
        assert sift(query, points, 40, stop=stop) == every[:expected]
        assert sift(5 * query, points, 40, stop=stop) == every[:expected]  # a share of what was


def test_enough_candidates_for_any_k() -> None:
    assert candidates_for(1) >= 1 and candidates_for(1000) >= 1000
