"""What every store answers, files and Milvus alike: the suite that holds them to one another."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from kb_stores import STORES, build_in

from hone.errors import Damaged
from kb.__main__ import main
from kb.records import Record, task_of
from kb.retriever import LocalRetriever
from kb.store import KnowledgeBase
from models.arc_embedder import ArcEmbedder

SOURCES = ["generators:30", "generators:20:1", "generators:10:2"]


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    folder = build_in("files", tmp_path_factory.mktemp("exact") / "kb", SOURCES)
    base = KnowledgeBase.open(folder)
    yield base
    base.close()


@pytest.fixture(scope="module", params=STORES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_in(request.param, tmp_path_factory.mktemp("store") / "kb with ? and #", SOURCES)


@pytest.fixture(scope="module")
def base(folder: Path) -> Iterator[KnowledgeBase]:
    opened = KnowledgeBase.open(folder)
    yield opened
    opened.close()


def test_rows_hold_what_was_embedded(base: KnowledgeBase) -> None:
    records = base.records(range(60))
    assert [record.source for record in records] == [SOURCES[0]] * 30 + [SOURCES[1]] * 20 + [
        SOURCES[2]
    ] * 10
    tasks = [task_of(record, str(i)) for i, record in enumerate(records)]
    np.testing.assert_allclose(base.vectors(np.arange(60)), ArcEmbedder().embed(tasks), atol=1e-6)


def test_it_holds_the_same_as_any_other(base: KnowledgeBase, exact: KnowledgeBase) -> None:
    assert base.manifest.content_hash == exact.manifest.content_hash
    assert base.records(range(60)) == exact.records(range(60))
    assert np.array_equal(base.vectors(np.arange(60)), exact.vectors(np.arange(60)))


def test_records_and_vectors_come_in_the_order_asked(base: KnowledgeBase) -> None:
    everything, vectors = base.records(range(60)), base.vectors(np.arange(60))
    asked = [59, 0, 7, 7, 31, 0]
    assert base.records(asked) == [everything[row] for row in asked]
    assert np.array_equal(base.vectors(np.array(asked)), vectors[asked])
    assert base.records([]) == []
    with pytest.raises(Damaged, match="lacks records"):
        base.records([60])


def test_nearest_is_the_largest_inner_product(base: KnowledgeBase) -> None:
    vectors = base.vectors(np.arange(60))
    scores, rows = base.nearest(vectors[:5], 7)
    likeness = vectors[:5] @ vectors.T
    np.testing.assert_allclose(scores, np.sort(likeness, axis=1)[:, ::-1][:, :7], atol=1e-5)
    assert (rows[:, 0] == np.arange(5)).all()


@pytest.mark.parametrize("asked", [SOURCES[:1], SOURCES[1:2], [SOURCES[2], SOURCES[0]]])
def test_a_source_filter_is_exact(base: KnowledgeBase, asked: list[str]) -> None:
    vectors = base.vectors(np.arange(60))
    allowed = np.array([record.source in asked for record in base.records(range(60))])
    scores, rows = base.nearest(vectors[::7], 60, asked)
    assert rows.shape == scores.shape == (9, 60)
    for found in rows:
        assert sorted(found[found >= 0]) == np.flatnonzero(allowed).tolist()
        assert (found[allowed.sum() :] == -1).all()


@pytest.mark.parametrize("sources", [None, SOURCES[1:]])
@pytest.mark.parametrize("method", ["faiss", "sift"])
@pytest.mark.parametrize("k", [1, 8, 60])
def test_retrieval_is_the_same_from_all(
    base: KnowledgeBase, exact: KnowledgeBase, k: int, method: str, sources: list[str] | None
) -> None:
    queries = exact.vectors(np.arange(0, 60, 6)) + np.float32(0.003)
    ours, theirs = (
        LocalRetriever(one, method).search(queries, k, sources=sources)  # type: ignore[arg-type]
        for one in (base, exact)
    )
    for found, expected in zip(ours, theirs, strict=True):
        scores = [hit.score for hit in found]
        assert scores == pytest.approx([hit.score for hit in expected], abs=1e-5)
        if method == "faiss":
            unlike = {h.id for h in found} ^ {h.id for h in expected}  # equally near as the last
            assert all(h.score < scores[-1] + 1e-5 for h in found if h.id in unlike)


def test_many_threads_read_at_once(base: KnowledgeBase) -> None:
    vectors, everything = base.vectors(np.arange(60)), base.records(range(60))

    def ask(i: int) -> list[Record]:
        _, rows = base.nearest(vectors[i : i + 1], 9)
        return base.records(rows[0].tolist())

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, [i % 60 for i in range(120)]))
    assert all(records[0] == everything[i % 60] for i, records in enumerate(found))


def test_every_byte_is_verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("verify", "info"):
        assert main([name, "--knowledge_base_path", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "is sound: 60 records" in said and "index " in said


def test_a_changed_base_stays_where_it_is(folder: Path) -> None:
    """And as it is searched; the last test, since others read what it changes."""
    before = KnowledgeBase.open(folder).manifest
    from kb import build_kb

    build_kb.main(["--append", "--datasets", "generators:5:3", "--save_dir", str(folder)])
    after = KnowledgeBase.open(folder)
    assert after.manifest.records == 65 and after.records([64])[0].source == "generators:5:3"
    assert after.manifest.index.asked == before.index.asked
    assert (after.manifest.milvus is None) == (before.milvus is None)
    after.close()
