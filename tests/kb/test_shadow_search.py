"""The shadow's way finds what FAISS finds, whatever the vectors are."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch

from kb import shadow_search
from kb.checked_file import FileStamp
from kb.exact_search import FEWEST_SHADOWED, WORTH_A_SHADOW, ExactSearch
from kb.faiss_scan import scanned
from kb.shadow import Shadow
from kb.shadow_product import ShadowProduct
from kb.shadow_search import ShadowSearch
from kb.vector_file import Found, VectorFile, Vectors, npy_header
from models import processor

Drawn = Callable[[np.random.Generator], Vectors]


def _random(rng: np.random.Generator, count: int = 3000, dimension: int = 32) -> Vectors:
    drawn = rng.normal(size=(count, dimension)).astype(np.float32)
    unit: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def _clustered(rng: np.random.Generator) -> Vectors:
    return _random(rng, 8)[rng.integers(8, size=3000)] + 0.02 * _random(rng)


def _duplicated(rng: np.random.Generator) -> Vectors:
    return _random(rng, 400)[rng.integers(400, size=3000)]


def _tied(rng: np.random.Generator) -> Vectors:
    """Whole numbers, so that scores are equal whichever way they are summed."""
    return rng.integers(-2, 3, size=(3000, 16)).astype(np.float32)


def _of_all_lengths(rng: np.random.Generator) -> Vectors:
    return _random(rng) * (10 ** rng.uniform(-3, 3, size=(3000, 1))).astype(np.float32)


def _almost_equal(rng: np.random.Generator) -> Vectors:
    """Closer to each other than the shadow can tell."""
    return _random(rng, 1) + 1e-4 * _random(rng, 700)


def _opposite(rng: np.random.Generator) -> Vectors:
    """To every query: no score is positive."""
    return -np.abs(_random(rng))


def _uneven(rng: np.random.Generator) -> Vectors:
    return _random(rng, 900, 25)


def _wide(rng: np.random.Generator) -> Vectors:
    return _random(rng, 500, 768)


def _few(rng: np.random.Generator) -> Vectors:
    return _random(rng, 41)


KINDS: list[Drawn] = [
    *(_random, _clustered, _duplicated, _tied, _of_all_lengths),
    *(_almost_equal, _opposite, _uneven, _wide, _few),
]


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[Vectors], VectorFile]:
    def kept_in_file(rows: Vectors) -> VectorFile:
        path = tmp_path / "vectors.npy"
        path.write_bytes(npy_header(rows.shape) + rows.tobytes())
        return VectorFile(path, FileStamp.of(path), rows.shape)

    return kept_in_file


@pytest.fixture
def with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is slow without it is still right."""
    monkeypatch.setattr(processor, "cpu_multiplies_bf16", lambda: True)


def _settled(vectors: VectorFile) -> ExactSearch:
    """One that was asked for long enough."""
    search = ExactSearch(vectors, with_shadow=True)
    count = vectors.shape[0]
    search.nearest([range(count)], vectors.rows(np.arange(WORTH_A_SHADOW) % count), 1)
    search.settle()
    return search


def _shadowed(vectors: VectorFile) -> ShadowSearch:
    search = ShadowSearch.over(vectors)
    assert search is not None
    return search


def _queries(rng: np.random.Generator, rows: Vectors, count: int) -> Vectors:
    """Rows, and what is between two of them."""
    one, other = rows[rng.integers(len(rows), size=(2, count))]
    between = (rng.integers(2, size=(count, 1)) * other).astype(np.float32)
    queries: Vectors = np.abs(one + between) if (rows <= 0).all() else one + between
    return queries


def _agree(found: Found, expected: Found, rows: Vectors, queries: Vectors) -> None:
    """Scores are the same but for the order of sums, each is its row's, and no row comes twice."""
    scores, named = found
    near = (
        1e-6 * np.linalg.norm(queries, axis=1, keepdims=True) * np.linalg.norm(rows, axis=1).max()
    )
    assert (np.abs(scores - expected[0]) <= near).all()
    assert (np.abs(scores - np.einsum("qkd,qd->qk", rows[named], queries)) <= near).all()
    assert all(len(set(one)) == len(one) for one in named.tolist())


@pytest.mark.parametrize("draw", KINDS)
@pytest.mark.parametrize("count", [1, 3, 7, 70])  # queries: scanned for, in one product, in two
def test_what_faiss_finds(kept: Callable[[Vectors], VectorFile], draw: Drawn, count: int) -> None:
    rng = np.random.default_rng(count)
    rows = draw(rng)
    vectors = kept(rows)
    search, queries = _shadowed(vectors), _queries(rng, rows, count)
    for k in (1, 10, len(rows) // 9, len(rows)):
        for run in (range(len(rows)), range(13, len(rows))):
            k = min(k, len(run))
            found = search.nearest(run, queries, k)
            assert found[1].shape == (count, k)
            assert (found[1] >= run.start).all()
            _agree(found, scanned(vectors, run, queries, k), rows, queries)


@pytest.mark.parametrize("draw", [_tied, _duplicated])
@pytest.mark.parametrize("k", [1, 10, 200])
def test_of_equal_vectors_the_first_are_found_and_in_their_order(
    kept: Callable[[Vectors], VectorFile], draw: Drawn, k: int
) -> None:
    """FAISS finds any of them, and lists them backwards."""
    rows = draw(np.random.default_rng(k))
    queries = rows[[5, 700, 2999]]
    likeness = np.einsum("nd,qd->qn", rows, queries)
    expected = np.argsort(-likeness, axis=1, kind="stable")[:, :k]
    found = _shadowed(kept(rows)).nearest(range(len(rows)), queries, k)
    assert np.array_equal(found[1], expected)


@pytest.mark.parametrize("draw", [_random, _of_all_lengths, _wide])
@pytest.mark.parametrize("count", [1, 9, 64])
def test_no_score_is_off_by_more_than_is_said(
    kept: Callable[[Vectors], VectorFile], draw: Drawn, count: int
) -> None:
    rng = np.random.default_rng(count)
    rows = draw(rng)
    shadow, queries = Shadow.of(kept(rows)), torch.tensor(_queries(rng, rows, count))
    assert shadow is not None
    exact, off = (torch.tensor(rows).double() @ queries.double().T).T, _off(shadow, queries)
    product = ShadowProduct(shadow).scores(range(len(rows)), queries.bfloat16()).double().T
    assert ((product - exact).abs() <= off + product.abs() / 255).all()
    scores, named = shadow.codes.search(queries.numpy(), len(rows))
    scanned_for = torch.zeros(exact.shape).scatter_(1, *map(torch.tensor, (named, scores)))
    assert ((scanned_for - exact).abs() <= off).all()


def _off(shadow: Shadow, queries: torch.Tensor) -> torch.Tensor:
    return torch.tensor(shadow.off(queries, queries.bfloat16()))[:, None]


def test_all_vectors_equal(
    kept: Callable[[Vectors], VectorFile], with_bf16: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them can be told from the others, so FAISS is asked."""
    rows = np.repeat(_random(np.random.default_rng(0), 1, 8), FEWEST_SHADOWED, axis=0)
    vectors, queries = kept(rows), rows[:3]
    _, named = _shadowed(vectors).nearest(range(len(rows)), queries, 5)
    assert (named == -1).all()
    monkeypatch.setattr("kb.exact_search._LENT", 10_000)
    scores, named = _settled(vectors).nearest([range(len(rows))], queries, 5)
    assert np.array_equal(scores, scanned(vectors, range(len(rows)), queries, 5)[0])
    assert all(len(set(one)) == 5 for one in named.tolist())


def test_runs_few_and_many_rows(
    kept: Callable[[Vectors], VectorFile], with_bf16: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some too small for the shadow, one cut in two, and a k for which it is of no use."""
    rng = np.random.default_rng(0)
    rows = _random(rng, 3 * FEWEST_SHADOWED, 8)
    monkeypatch.setattr("kb.exact_search._MOST_TOGETHER", FEWEST_SHADOWED)
    runs = [range(5), range(100, 90 + 2 * FEWEST_SHADOWED), range(len(rows) - 40, len(rows))]
    allowed = np.concatenate([np.arange(run.start, run.stop) for run in runs])
    queries = _random(rng, 12, 8)
    search, likeness = _settled(kept(rows)), queries @ rows[allowed].T
    for k in (1, 20, 1500):
        scores, named = search.nearest(runs, queries, k)
        np.testing.assert_allclose(scores, -np.sort(-likeness, axis=1)[:, :k], atol=1e-6)
        assert np.isin(named, allowed).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30, 0])
def test_vectors_that_cannot_be_shadowed(
    kept: Callable[[Vectors], VectorFile], value: float
) -> None:
    rows = np.zeros((50, 4), dtype=np.float32)
    rows[17, 2] = value
    assert Shadow.of(kept(rows)) is None


def test_queries_out_of_range_are_left_to_faiss(kept: Callable[[Vectors], VectorFile]) -> None:
    queries = np.array([[0, 0], [1e-30, 0], [1e30, 0], [1, 0]], dtype=np.float32)
    vectors = kept(_random(np.random.default_rng(0), 100, 2))
    _, named = _shadowed(vectors).nearest(range(100), queries, 3)
    assert (named[:3] == -1).all() and (named[3] >= 0).all()


def test_no_shadow_where_memory_is_short_or_bf16_slow(
    kept: Callable[[Vectors], VectorFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = _random(np.random.default_rng(0), FEWEST_SHADOWED, 4)
    vectors = kept(rows)
    monkeypatch.setattr(shadow_search, "free_bytes", lambda device: 4 * rows.nbytes)
    assert ShadowSearch.over(vectors) is not None
    monkeypatch.setattr(shadow_search, "free_bytes", lambda device: rows.nbytes - 1)
    assert ShadowSearch.over(vectors) is None
    monkeypatch.setattr(processor, "cpu_multiplies_bf16", lambda: False)
    monkeypatch.delattr(ShadowSearch, "over")
    search = _settled(vectors)
    assert search.nearest([range(len(rows))], rows[7:8], 1)[1] == [[7]]


def test_a_shadow_is_made_when_it_is_worth_its_time_and_searches_do_not_wait(
    kept: Callable[[Vectors], VectorFile], with_bf16: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = _random(np.random.default_rng(0), FEWEST_SHADOWED, 4)
    begun, go_on = Event(), Event()

    def over(vectors: VectorFile) -> None:
        begun.set()
        go_on.wait(60)

    monkeypatch.setattr(ShadowSearch, "over", over)
    search, run = ExactSearch(kept(rows), with_shadow=True), [range(len(rows))]
    search.nearest(run, rows[: WORTH_A_SHADOW - 1], 1)
    assert not begun.is_set()
    search.nearest(run, rows[:1], 1)
    assert begun.wait(60)
    assert search.nearest(run, rows[7:8], 1)[1] == [[7]]  # while it is made
    go_on.set()
    search.settle()


def test_many_threads_get_their_own_answers(kept: Callable[[Vectors], VectorFile]) -> None:
    rows = _random(np.random.default_rng(0))
    search = _shadowed(kept(rows))

    def first(row: int) -> int:
        return int(search.nearest(range(len(rows)), rows[row : row + 1 + row % 12], 3)[1][0, 0])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(first, range(200))) == list(range(200))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="memory is read from /proc")
def test_vectors_do_not_stay_in_memory_beside_their_shadow(
    kept: Callable[[Vectors], VectorFile], with_bf16: None, tmp_path: Path
) -> None:
    def resident() -> int:
        pages = Path("/proc/self/smaps").read_text()
        return int(re.findall(rf"{tmp_path}/vectors.npy\n(?:.*\n)*?Rss: +(\d+) kB", pages)[0])

    rows = _random(np.random.default_rng(0), FEWEST_SHADOWED, 16)
    vectors = kept(rows)
    search = _settled(vectors)
    _, found = search.nearest([range(len(rows))], rows[:50], 10)
    assert np.array_equal(search.vectors(found[:, 0]), rows[:50])
    assert resident() == 0
    vectors.rows(found[0])
    assert resident() > 0
