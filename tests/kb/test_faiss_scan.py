"""However many are asked for together, the neighbours are the same, and nothing stays changed."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from kb.checked_file import FileStamp
from kb.faiss_scan import FEWEST_MULTIPLIED, scanned
from kb.vector_file import VectorFile, npy_header

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(12_000, 8)).astype(np.float32)  # enough for FAISS to cut them up
QUERIES = RNG.normal(size=(20, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> VectorFile:
    path = tmp_path_factory.mktemp("exact") / "vectors.npy"
    path.write_bytes(npy_header((12_000, 8)) + ROWS.tobytes())
    return VectorFile(path, FileStamp.of(path), (12_000, 8))


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("count", [1, 2, FEWEST_MULTIPLIED, 20])
def test_neighbours_do_not_depend_on_how_many_are_asked_together(
    vectors: VectorFile, threads: int, count: int
) -> None:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        scores, rows = scanned(vectors, range(12_000), QUERIES[:count], 10)
        assert faiss.omp_get_max_threads() == threads
    finally:
        faiss.omp_set_num_threads(before)
    exact = QUERIES[:count] @ ROWS.T
    np.testing.assert_allclose(scores, -np.sort(-exact, axis=1)[:, :10], atol=1e-4)
    np.testing.assert_allclose(np.take_along_axis(exact, rows, axis=1), scores, atol=1e-4)
