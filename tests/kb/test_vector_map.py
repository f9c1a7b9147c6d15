"""The map is what principal components are, and every source is on it."""

from __future__ import annotations

import numpy as np
import pytest

from kb.vector_map import FEWEST, MOST, flattened, sampled

RNG = np.random.default_rng(0)


def test_the_plane_is_that_of_the_first_principal_components() -> None:
    points = RNG.normal(size=(300, 40)) * np.linspace(3, 0.1, 40)
    centred = points - points.mean(axis=0)
    left, spread, _ = np.linalg.svd(centred, full_matrices=False)
    places, shown = flattened(centred)
    np.testing.assert_allclose(np.abs(places), np.abs(left[:, :2] * spread[:2]), atol=0.2)
    assert shown == pytest.approx((spread[:2] ** 2).sum() / (spread**2).sum(), rel=1e-3)


@pytest.mark.parametrize("shape", [(1, 5), (2, 5), (5, 1), (3, 2)])
def test_few_records_or_dimensions_are_drawn_too(shape: tuple[int, int]) -> None:
    points = RNG.normal(size=shape)
    places, shown = flattened(points - points.mean(axis=0))
    assert places.shape == (shape[0], 2) and np.isfinite(places).all()
    assert shown == pytest.approx(1)


def test_equal_vectors_lie_on_one_spot() -> None:
    places, shown = flattened(np.zeros((7, 5)))
    assert not places.any() and shown == 1


def test_it_is_the_same_every_time_and_for_mirrored_vectors() -> None:
    points = RNG.normal(size=(50, 8)) * np.arange(1, 9)
    first, again = flattened(points), flattened(points.copy())
    np.testing.assert_array_equal(first[0], again[0])
    assert flattened(-points)[1] == pytest.approx(first[1])


def test_small_sources_are_seen_beside_large_ones() -> None:
    counts = {"large": 1_000_000, "few": 7, "small": 300, "none": 0}
    rows, sources = sampled(counts)
    found = dict(zip(counts, np.bincount(sources, minlength=4).tolist(), strict=True))
    assert found == {"large": 1999, "few": 7, "small": FEWEST, "none": 0}
    assert len(set(rows.tolist())) == len(rows) <= MOST + FEWEST * len(counts)
    starts = np.cumsum([0, *counts.values()])
    assert (starts[sources] <= rows).all() and (rows < starts[sources + 1]).all()
    assert (np.diff(rows) > 0).all()


def test_sources_without_number_have_a_point_each() -> None:
    rows, sources = sampled({f"source {i}": 2 for i in range(3 * MOST)})
    assert (rows == np.arange(3 * MOST) * 2).all() and (sources == np.arange(3 * MOST)).all()
