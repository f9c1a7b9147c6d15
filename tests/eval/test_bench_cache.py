"""The bench of the adapter store, at a small size: all that is told, and that it is right."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_bases import write_canvas_base

from client.policies import STRATEGIES
from eval.bench.__main__ import main
from eval.bench.cache_hits import Hits
from eval.bench.cache_store import drawn_adapter, lookup_ms, put_and_get_ms
from eval.bench.cache_streams import drawn_streams, hit_rates
from eval.bench.shapes import SHAPES
from eval.sessions import sessions
from hone.errors import BadInput

torch.set_num_threads(1)


def test_everything_that_was_asked_for_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, out = write_canvas_base(tmp_path / "base", context=3000), tmp_path / "out"
    small = ["--adapters=20", "--shape=tiny", "--tasks=1", "--queries=40", "--lookups=3"]
    argv = ["cache", *small, "--threads=1", "--model_path", str(base), "--out_dir", str(out)]
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["bench"] == "cache" and told["hit_speedup"] > 1
    assert all(told[name] > 0 for name in ("lookup_ms", "put_ms", "get_ms"))
    assert set(told["hit_rate"]) == {"popular", "phases", "visits"}
    assert all(set(rates) == set(STRATEGIES) for rates in told["hit_rate"].values())
    assert told["hits"]["decisions"] == ["hit"]
    assert [path.name for path in out.iterdir()] == ["store-20-0"], "the rest is swept"


def test_the_searched_store_is_made_once(tmp_path: Path) -> None:
    assert lookup_ms(tmp_path, 12, 2, 0) > 0
    made = sorted(tmp_path.glob("*/entries/*"))
    shutil.rmtree(made[3])  # as if it had been stopped on the way
    (made[7] / "hone.json").write_text("")
    stamps = [path.stat().st_mtime_ns for path in made if path not in (made[3], made[7])]
    assert lookup_ms(tmp_path, 12, 2, 0) > 0 and len(made) == 12
    assert sorted(tmp_path.glob("*/entries/*")) == made
    again = [path.stat().st_mtime_ns for path in made if path not in (made[3], made[7])]
    assert sum(a != b for a, b in zip(stamps, again, strict=True)) <= 1  # the one that is copied


def test_an_adapter_has_the_shapes_of_its_model(tmp_path: Path) -> None:
    adapter = drawn_adapter(SHAPES["6m"], 4)
    assert len(adapter.tensors) == 8 * 7
    a, b = adapter.tensors["model.layers.3.mlp.down_proj"]
    assert (a.shape, b.shape) == ((4, 704), (256, 4))
    assert set(put_and_get_ms(tmp_path, "tiny", 2, 1)) == {"put_ms", "get_ms"}


def test_streams_tell_strategies_apart() -> None:
    rates = hit_rates(None, 400, 8, 0)
    assert rates["phases"]["lfu-ageing"] > rates["phases"]["lfu"]
    assert rates["visits"]["lfu"] > rates["visits"]["lru"]
    assert all(0 < rate < 1 for one in rates.values() for rate in one.values())
    assert hit_rates(None, 400, 8, 0) == rates != hit_rates(None, 400, 8, 1)


def test_sessions_ask_every_question_once_with_its_like() -> None:
    vectors = drawn_streams(60, 0)["popular"]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = sessions(vectors, 0)
    assert sorted(order) == list(range(60))
    near = np.mean([vectors[a] @ vectors[b] for a, b in pairwise(order)])
    assert near > np.mean(vectors @ vectors.T)


def test_a_speedup_is_of_the_middle_ones() -> None:
    assert Hits(2.0, 0.02, 0.01, ["hit"]).speedup == 100
    assert Hits(2.0, 0.02, 0.01, ["hit"]).told()["speedup_in_memory"] == 200


def test_more_tasks_than_families_are_refused(tmp_path: Path) -> None:
    argv = ["cache", "--adapters=10", "--lookups=1", "--shape=tiny", "--queries=10"]
    with pytest.raises(BadInput, match="--tasks is 999, there are"):
        main([*argv, "--tasks=999", "--out_dir", str(tmp_path)])
