"""The server under load, at a small size: all that is told, and that it is right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eval.bench import search
from eval.bench.load import Load
from eval.bench.raw_faiss import best_of_raw
from eval.bench.search_base import drawn_vectors, made_base
from hone.errors import BadInput
from kb.faiss_scan import load_faiss
from kb.store import KnowledgeBase
from kb.verify import check

ASKED = [
    *("bench", "n", "raw_faiss_qps", "server_qps", "ratio", "p50_ms", "p99_ms"),
    *("sift_over_nn", "sift_batch_over_nn"),
]


@pytest.fixture(scope="module")
def out_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def base(out_dir: Path) -> Path:
    return made_base(out_dir, 2000, 16, seed=0)


def test_the_base_is_a_sound_one_and_is_made_once(base: Path, out_dir: Path) -> None:
    opened = KnowledgeBase.open(base)
    check(opened)
    assert opened.manifest.records == 2000 and opened.manifest.dimension == 16
    opened.close()
    before = (base / "manifest.json").stat().st_mtime_ns
    assert made_base(out_dir, 2000, 16, seed=0) == base
    assert (base / "manifest.json").stat().st_mtime_ns == before


def test_bare_faiss_is_exact_and_its_settings_are_put_back(base: Path) -> None:
    faiss, queries = load_faiss(), drawn_vectors(1, 0, 1024, 16)
    before = faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold
    raw = best_of_raw(base, queries, 5, 0.02)
    vectors = np.load(base / "vectors.npy")
    exact = -np.sort(-(queries @ vectors.T), axis=1)[:, :5]
    np.testing.assert_allclose(raw.scores, exact, atol=1e-5)
    assert raw.qps == max(raw.how["all"].values()) > 0
    assert before == (faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold)


def test_an_answer_that_is_not_the_one_expected_counts() -> None:
    def answer(*scores: float) -> bytes:
        return json.dumps({"hits": [[{"score": score} for score in scores]]}).encode()

    expected = np.array([[0.9, 0.8]], np.float32)
    sample = [(0, answer(0.9, 0.80001)), (0, answer(0.9, 0.7)), (0, answer(0.9))]
    assert Load(sample=sample).wrong(expected) == 2


def test_the_last_line_is_the_comparison(
    base: Path, out_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = ("--n", "2000", "--dimension", "16", "--k", "8", "--concurrency", "2", "4")
    ways = ("--seconds", "0.4", "--peer", "none", "--out_dir", str(out_dir))
    assert search.main([*size, *ways]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [name for name in told if name in ASKED] == ASKED and told["bench"] == "search"
    assert told["ratio"] == pytest.approx(told["server_qps"] / told["raw_faiss_qps"], abs=1e-3)
    assert told["errors"] == told["wrong"] == 0 and told["peer"] is None
    assert told["by_concurrency"]["4"]["qps"] == told["server_qps"]
    assert told["rss_mb"] > 20 and told["ready_s"] > 0


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--n is 10, at least 2000"):
        search.main(["--n", "10", "--out_dir", str(tmp_path)])
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="is a file; name a folder"):
        search.main(["--out_dir", str(tmp_path / "file" / "x")])
