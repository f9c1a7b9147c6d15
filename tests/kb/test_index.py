"""Indexes: what they find is exact in its scores, and as much as they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hone.errors import Damaged
from kb import build_kb
from kb import index as index_module
from kb.checked_file import FileStamp
from kb.exact_search import ExactSearch, best_of, runs_of
from kb.index import (
    FLAT_UP_TO,
    GOAL,
    LEAST,
    Asked,
    Index,
    IndexCard,
    Kind,
    build_index,
    chosen_kind,
)
from kb.manifest import read_manifest
from kb.store import KnowledgeBase
from kb.vector_file import VectorFile, Vectors, npy_header

COUNT, DIMENSION = LEAST, 16


def _unit(rows: Vectors) -> Vectors:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _file(path: Path, rows: Vectors) -> VectorFile:
    shape = (len(rows), rows.shape[1])
    path.write_bytes(npy_header(shape) + rows.tobytes())
    return VectorFile(path, FileStamp.of(path), shape)


@pytest.fixture(scope="module")
def rows() -> Vectors:
    """As embedders make them: crowded around some directions."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(40, DIMENSION))
    drawn = centres[rng.integers(40, size=COUNT)] + 0.6 * rng.normal(size=(COUNT, DIMENSION))
    return _unit(drawn.astype(np.float32))


@pytest.fixture(scope="module")
def vectors(rows: Vectors, tmp_path_factory: pytest.TempPathFactory) -> VectorFile:
    return _file(tmp_path_factory.mktemp("index") / "vectors.npy", rows)


@pytest.fixture(scope="module", params=["ivf", "hnsw", "pq"])
def built(
    request: pytest.FixtureRequest, vectors: VectorFile, tmp_path_factory: pytest.TempPathFactory
) -> tuple[IndexCard, Index]:
    kind: Kind = request.param
    file = tmp_path_factory.mktemp(kind) / "index.faiss"
    card = build_index(kind, vectors, file)
    assert file.stat().st_size < COUNT * (DIMENSION + 300)
    return card, Index.open(file, kind, vectors)


def test_it_finds_as_much_as_its_card_says(
    built: tuple[IndexCard, Index], vectors: VectorFile, rows: Vectors
) -> None:
    card, index = built
    least = 0.9 if card.kind == "pq" else GOAL  # 16 numbers in four bytes
    assert card.kind == card.asked and card.effort > 0 and card.recall >= least
    queries = rows[17:5017:25] + np.float32(0.01)
    _, truth = ExactSearch(vectors).nearest([range(COUNT)], queries, 32)
    _, found = index.nearest(queries, 32, card.effort)
    shares = [len(set(one) & set(other)) / 32 for one, other in zip(truth, found, strict=True)]
    assert np.mean(shares) > card.recall - 0.05


def test_scores_are_those_of_the_vectors_and_fall(
    built: tuple[IndexCard, Index], rows: Vectors
) -> None:
    card, index = built
    scores, found = index.nearest(rows[:8], 20, card.effort)
    for query, of_one, score in zip(rows, found, scores, strict=False):
        np.testing.assert_allclose(score, rows[of_one] @ query, atol=1e-6)
        assert (np.diff(score) <= 0).all()


def test_what_an_index_lacks_is_minus_one(built: tuple[IndexCard, Index], rows: Vectors) -> None:
    card, index = built
    _, found = index.nearest(rows[:2], COUNT, 1)
    there = found >= 0
    assert there[:, 0].all() and (np.diff(there.astype(int), axis=1) <= 0).all()
    assert card.kind == "hnsw" or not there.all()


def test_equal_vectors_count_as_found(
    tmp_path: Path, rows: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a hundred records that are equally near, any 32 are the nearest."""
    monkeypatch.setattr(index_module, "LEAST", 1)
    same = np.repeat(rows[:10], 100, axis=0)
    card = build_index("ivf", _file(tmp_path / "v.npy", same), tmp_path / "index.faiss")
    assert card.recall == 1


def test_which_one_is_built(tmp_path: Path, rows: Vectors) -> None:
    expected: list[tuple[Asked, int, Kind]] = [
        ("auto", 60, "flat"),
        ("auto", FLAT_UP_TO, "flat"),
        ("auto", FLAT_UP_TO + 1, "ivf"),
        ("hnsw", LEAST, "hnsw"),
        ("pq", LEAST - 1, "flat"),
        ("flat", 10**9, "flat"),
    ]
    for asked, records, kind in expected:
        assert chosen_kind(asked, records) == kind
    card = build_index("pq", _file(tmp_path / "v.npy", rows[:50]), tmp_path / "index.faiss")
    assert "too few records for pq" in str(card) and not (tmp_path / "index.faiss").exists()


@pytest.mark.parametrize("dimension", [7, 100, 384])
def test_any_dimension_has_its_parts(dimension: int) -> None:
    parts = int(index_module._factory_words("pq", dimension, 10).partition("PQ")[2])
    assert dimension % parts == 0 and parts <= max(dimension // 4, 1)


def test_an_index_of_other_vectors_is_refused(
    built: tuple[IndexCard, Index], tmp_path: Path, rows: Vectors, vectors: VectorFile
) -> None:
    fewer = _file(tmp_path / "v.npy", rows[:50])
    with pytest.raises(Damaged, match="not an index"):
        Index.open(tmp_path / "v.npy", "ivf", fewer)


def test_a_base_gets_another_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(index_module, "LEAST", 1)
    folder, more = tmp_path / "kb", ["--save_dir", str(tmp_path / "kb")]
    build_kb.main(["--datasets", "generators:40", *more])
    before = read_manifest(folder)
    build_kb.main(["--append", "--index", "ivf", *more])
    after = read_manifest(folder)
    assert (before.index.kind, after.index.kind) == ("flat", "ivf")
    assert after.content_hash == before.content_hash
    assert "index ivf, effort" in capsys.readouterr().out
    KnowledgeBase.open(folder, verify=True).close()
    build_kb.main(["--append", "--index", "flat", *more])
    assert not (folder / "index.faiss").exists()


def test_a_build_killed_as_it_is_indexed_goes_on_with_any_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(index_module, "LEAST", 1)
    words = ["--datasets", "generators:40", "--save_dir", str(tmp_path / "kb")]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(index_module, "least_effort", killed)
        build_kb.main([*words, "--index", "hnsw"])
    (tmp_path / ".kb.partial" / "index.faiss").write_bytes(b"half of it")
    build_kb.main(words)
    assert "after 40 records" in capsys.readouterr().err
    names = {path.name for path in (tmp_path / "kb").iterdir()}
    assert names == {"manifest.json", "vectors.npy", "records.sqlite", "left_out.jsonl"}


def test_runs_hold_just_the_rows_of_their_sources() -> None:
    sources = {"a": 3, "b": 2, "c": 4}
    assert runs_of(sources, None) == [range(9)]
    assert runs_of(sources, ["c", "b"]) == [range(3, 9)]
    assert runs_of(sources, ["c", "a"]) == [range(3), range(5, 9)]


def test_several_runs_are_searched_as_one(vectors: VectorFile, rows: Vectors) -> None:
    runs = [range(5), range(100, 130), range(9000, 9002)]
    allowed = np.concatenate([np.arange(run.start, run.stop) for run in runs])
    scores, found = ExactSearch(vectors).nearest(runs, rows[:4], 40)
    likeness = np.sort(rows[:4] @ rows[allowed].T, axis=1)[:, ::-1]
    np.testing.assert_allclose(scores[:, :37], likeness, atol=1e-6)
    assert (found[:, 37:] == -1).all() and set(found[0, :37]) == set(allowed)
    best = best_of([(scores - 3, found + 1), (scores, found)], 40)
    assert np.array_equal(best[1][:, :37], found[:, :37])
