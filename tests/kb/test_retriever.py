"""Retrieval in process: what is asked for is what comes, and bad questions are told so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hone.errors import BadInput
from kb import build_kb
from kb.retriever import LocalRetriever
from kb.store import KnowledgeBase, Vectors


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    path = tmp_path_factory.mktemp("retriever") / "kb"
    words = ["--datasets", "generators:40", "generators:25:1", "--save_dir", str(path)]
    build_kb.main(words)
    opened = KnowledgeBase.open(path)
    yield opened
    opened.close()


@pytest.fixture
def retriever(base: KnowledgeBase) -> LocalRetriever:
    return LocalRetriever(base)


@pytest.fixture
def queries(base: KnowledgeBase) -> Vectors:
    return base.vectors(np.array([3, 50, 17]))


def test_neighbours_come_best_first(retriever: LocalRetriever, queries: Vectors) -> None:
    found = retriever.search(queries, 5)
    assert [hits[0].id for hits in found] == [3, 50, 17]
    for hits in found:
        scores = [hit.score for hit in hits]
        assert len(hits) == 5 and scores == sorted(scores, reverse=True)
        assert scores[0] == pytest.approx(1) and all(hit.multiplicity == 1 for hit in hits)
        assert all(hit.kind == "arc" and hit.prompt and hit.answer for hit in hits)


def test_more_than_there_is_gives_all_there_is(retriever: LocalRetriever, queries: Vectors) -> None:
    assert [len(hits) for hits in retriever.search(queries, 1000)] == [65] * 3
    of_one = retriever.search(queries, 1000, sources=["generators:25:1"])
    assert all({hit.id for hit in hits} == set(range(40, 65)) for hits in of_one)


@pytest.mark.parametrize("k", [1, 8, 100])
def test_sift_hits_stand_once_and_count_k(
    retriever: LocalRetriever, queries: Vectors, k: int
) -> None:
    for hits in retriever.search(queries, k, method="sift", sources=["generators:40"]):
        assert sum(hit.multiplicity for hit in hits) == k
        assert len({hit.id for hit in hits}) == len(hits)
        assert all(hit.source == "generators:40" for hit in hits)


def test_sift_ends_early_where_that_is_asked_for(
    retriever: LocalRetriever, queries: Vectors
) -> None:
    every = retriever.search(queries, 20, method="sift")
    fewer = retriever.search(queries, 20, method="sift", stop=0.001)
    assert retriever.search(queries, 20, stop=0.001) == retriever.search(queries, 20)  # no SIFT
    for all_hits, hits in zip(every, fewer, strict=True):
        assert 1 <= sum(hit.multiplicity for hit in hits) < 20
        assert [hit.id for hit in hits] == [hit.id for hit in all_hits][: len(hits)]


def test_sift_begins_with_the_nearest(retriever: LocalRetriever, queries: Vectors) -> None:
    near = retriever.search(queries, 6)
    sifted = retriever.search(queries, 6, method="sift")
    assert [hits[0].id for hits in near] == [hits[0].id for hits in sifted]
    assert LocalRetriever(retriever.store, "sift").search(queries, 6) == sifted


def test_scores_are_cosines_whatever_the_length(
    retriever: LocalRetriever, queries: Vectors
) -> None:
    one, other = retriever.search(queries, 4), retriever.search(queries * 1000, 4)
    assert [[h.id for h in hits] for hits in one] == [[h.id for h in hits] for hits in other]
    assert other[0][0].score == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vectors": np.ones((1, 64), np.float32)}, "dimension 64, the knowledge base has 128"),
        ({"vectors": np.ones(128, np.float32)}, r"shape \[128\]"),
        ({"vectors": np.ones((0, 128), np.float32)}, "shape"),
        ({"vectors": np.full((2, 128), np.nan)}, "vector 0 is not finite"),
        ({"vectors": np.full((2, 128), 1e300)}, "vector 0 is not finite"),
        ({"vectors": np.zeros((1, 128))}, "vector 0 is zero"),
        ({"vectors": [[1.0], [1.0, 2.0]]}, "one length"),
        ({"k": 0}, "k is 0"),
        ({"stop": -0.1}, "stop is -0.1"),
        ({"stop": float("nan")}, "stop is nan"),
        ({"noise": 0.0}, "noise is 0.0; give 0.0001 to 1000"),
        ({"noise": float("nan")}, "noise is nan"),
        ({"k": 1001}, "k is 1001; give 1 to 1000"),
        ({"sources": ["nobody"]}, "no source 'nobody'; there are: generators:40"),
        ({"sources": []}, "empty"),
        ({"method": "magic"}, "no method 'magic'"),
    ],
)
def test_bad_questions_are_told_so(
    retriever: LocalRetriever, queries: Vectors, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        retriever.search(**{"vectors": queries, "k": 3, **change})


def test_info_says_what_the_manifest_says(base: KnowledgeBase, retriever: LocalRetriever) -> None:
    info = retriever.info()
    assert info.records == 65 and info.sources == {"generators:40": 40, "generators:25:1": 25}
    assert info.embedder_fingerprint == base.manifest.embedder_fingerprint
    assert info.methods == ["faiss", "sift"] and info.dimension == 128


def test_a_task_finds_its_own_family_in_any_look(base: KnowledgeBase, tmp_path: Path) -> None:
    from arc.augment import colours, symmetry
    from arc.generators import sample_task, training_families
    from models.arc_embedder import ArcEmbedder

    look = symmetry("rot90").then(colours([1, 0, 3, 2, 5, 4, 7, 6, 9, 8]))
    tasks = [
        sample_task(family, 0) for family in training_families()[:40]
    ]  # they stand in the base
    turned = ArcEmbedder().embed([look.apply(task) for task in tasks])
    found = LocalRetriever(base).search(turned, 1)
    assert all(hits[0].score == pytest.approx(1, abs=1e-4) for hits in found)
