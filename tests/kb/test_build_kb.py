"""The builder: whole or not at all, one at a time, and going on behind a kill."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hone.errors import BadInput, Damaged
from kb import build_kb, building_place
from kb.manifest import read_manifest
from kb.store import KnowledgeBase
from models.arc_embedder import ArcEmbedder
from models.embedder import Query, Vectors

COMMAND = Path(build_kb.__file__)


def _build(save_dir: Path, *more: object, datasets: Sequence[object] = ("generators:40",)) -> None:
    words = ["--datasets", *datasets, "--save_dir", save_dir, "--batch_size", 8, *more]
    assert build_kb.main([str(word) for word in words]) == 0


def _beside(save_dir: Path) -> list[str]:
    return sorted(path.name for path in save_dir.parent.iterdir())


def _same(one: Path, other: Path) -> bool:
    vectors = [(folder / "vectors.npy").read_bytes() for folder in (one, other)]
    hashes = [read_manifest(folder).content_hash for folder in (one, other)]
    return vectors[0] == vectors[1] and hashes[0] == hashes[1]


def _interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """The embedder fails once, at the block behind `after` records."""
    real, seen = ArcEmbedder.embed, 0

    def embed(self: ArcEmbedder, queries: Sequence[Query], *, progress: bool = False) -> Vectors:
        nonlocal seen
        if seen >= after:
            monkeypatch.setattr(ArcEmbedder, "embed", real)
            raise KeyboardInterrupt
        seen += len(queries)
        return real(self, queries, progress=progress)

    monkeypatch.setattr(ArcEmbedder, "embed", embed)


def test_a_base_is_built_and_says_what_it_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _build(tmp_path / "kb", datasets=["generators:10", "generators:12:1"])
    manifest = read_manifest(tmp_path / "kb")
    assert manifest.sources == {"generators:10": 10, "generators:12:1": 12}
    assert (manifest.records, manifest.kind, manifest.embedder) == (22, "arc", "arc")
    assert manifest.embedder_fingerprint == ArcEmbedder().fingerprint
    assert "22 records (10 from generators:10" in capsys.readouterr().out
    assert _beside(tmp_path / "kb") == ["kb"]
    names = {path.name for path in (tmp_path / "kb").iterdir()}
    assert names == {"manifest.json", "vectors.npy", "records.sqlite", "left_out.jsonl"}


def test_the_same_records_have_the_same_hash_whatever_the_blocks(tmp_path: Path) -> None:
    _build(tmp_path / "one")
    _build(tmp_path / "other", "--batch_size", "7")
    assert _same(tmp_path / "one", tmp_path / "other")
    _build(tmp_path / "more", datasets=["generators:41"])
    hashes = {read_manifest(tmp_path / name).content_hash for name in ("one", "more")}
    assert len(hashes) == 2


@pytest.mark.parametrize("after", [8, 16, 32])
def test_an_interrupted_build_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    after: int,
) -> None:
    _interrupt(monkeypatch, after)
    with pytest.raises(KeyboardInterrupt):
        _build(tmp_path / "kb")
    assert _beside(tmp_path / "kb") == [".kb.partial"]
    _build(tmp_path / "kb")
    assert f"after {after} records" in capsys.readouterr().err
    _build(tmp_path / "straight")
    assert _same(tmp_path / "kb", tmp_path / "straight")


def test_a_build_killed_at_any_moment_goes_on(tmp_path: Path) -> None:
    words = [
        "--datasets",
        "generators:500",
        "--batch_size",
        "2",
        "--save_dir",
        str(tmp_path / "kb"),
    ]
    command = [sys.executable, str(COMMAND), *words]
    rng, kills = random.Random(5), 0
    while not (tmp_path / "kb").exists():
        builder = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        patience = rng.uniform(0.3, 1.2) if kills < 10 else 120
        try:
            assert builder.wait(patience) == 0
        except subprocess.TimeoutExpired:
            builder.send_signal(signal.SIGKILL)
            builder.wait()
            kills += 1
    _build(tmp_path / "straight", datasets=["generators:500"])
    assert kills > 3 and _same(tmp_path / "kb", tmp_path / "straight")
    KnowledgeBase.open(tmp_path / "kb").close()


def test_what_was_not_committed_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the vectors of a block and its rows."""
    _interrupt(monkeypatch, 16)
    with pytest.raises(KeyboardInterrupt):
        _build(tmp_path / "kb")
    with (tmp_path / ".kb.partial" / "vectors.npy").open("ab") as file:
        file.write(b"half a block")
    _build(tmp_path / "kb")
    _build(tmp_path / "straight")
    assert _same(tmp_path / "kb", tmp_path / "straight")


def test_a_build_killed_before_its_renaming_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hone.files

    def killed(folder: Path, path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hone.files, "put_in_place", killed)
        with pytest.raises(KeyboardInterrupt):
            _build(tmp_path / "kb")
    _build(tmp_path / "kb")
    _build(tmp_path / "straight")
    assert _same(tmp_path / "kb", tmp_path / "straight")


@pytest.mark.parametrize("lost", ["vectors.npy", "records.sqlite"])
def test_a_damaged_partial_base_is_discarded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lost: str,
) -> None:
    _interrupt(monkeypatch, 16)
    with pytest.raises(KeyboardInterrupt):
        _build(tmp_path / "kb")
    (tmp_path / ".kb.partial" / lost).write_bytes(b"x" * 100)
    _build(tmp_path / "kb")
    assert "was discarded" in capsys.readouterr().err
    _build(tmp_path / "straight")
    assert _same(tmp_path / "kb", tmp_path / "straight")


def test_a_partial_base_of_another_build_is_discarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _interrupt(monkeypatch, 16)
    with pytest.raises(KeyboardInterrupt):
        _build(tmp_path / "kb", datasets=["generators:40:9"])
    _build(tmp_path / "kb")
    assert "was discarded" in capsys.readouterr().err
    assert read_manifest(tmp_path / "kb").sources == {"generators:40": 40}


def test_sources_that_changed_meanwhile_start_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from arc.generators import sample_task, training_families
    from arc.task import task_to_json

    (folder := tmp_path / "tasks").mkdir()

    def write(seed: int) -> None:
        for i, family in enumerate(training_families()[:24]):
            task = sample_task(family, seed if i == 3 else 0)
            (folder / f"{i:02}.json").write_text(json.dumps(task_to_json(task)))

    write(seed=0)
    _interrupt(monkeypatch, 16)
    with pytest.raises(KeyboardInterrupt):
        _build(tmp_path / "kb", datasets=[folder])
    write(seed=1)
    _build(tmp_path / "kb", datasets=[folder])
    assert "starting again" in capsys.readouterr().err
    _build(tmp_path / "straight", datasets=[folder])
    assert _same(tmp_path / "kb", tmp_path / "straight")


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    _build(tmp_path / "kb")
    before = (tmp_path / "kb" / "manifest.json").read_bytes()
    with pytest.raises(BadInput, match="--overwrite"):
        _build(tmp_path / "kb", datasets=["generators:9"])
    assert (tmp_path / "kb" / "manifest.json").read_bytes() == before
    _build(tmp_path / "kb", "--overwrite", datasets=["generators:9"])
    assert read_manifest(tmp_path / "kb").records == 9

    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    for name in ("theirs", "file"):
        with pytest.raises(BadInput, match="choose"):
            _build(tmp_path / name, "--overwrite")
    assert (tmp_path / "theirs" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    _build(tmp_path / "empty")


def test_two_builders_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        building_place.only_builder(tmp_path / "kb"),
        pytest.raises(BadInput, match="being built by another process"),
    ):
        _build(tmp_path / "kb")
    with (tmp_path / ".kb.lock").open("w") as left_behind:  # by a kill: nobody holds it
        assert left_behind
    _build(tmp_path / "kb")
    assert _beside(tmp_path / "kb") == ["kb"]


def test_a_lock_that_another_process_holds(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from kb.building_place import only_builder\n"
        "with only_builder(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "kb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(BadInput, match="another process"):
            _build(tmp_path / "kb")
        holder.kill()
    _build(tmp_path / "kb")


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    (bad := tmp_path / "bad.json").write_text('{"train": 1, "test": 2}')
    for datasets in (["nothing"], ["generators:0"], [bad], ["generators:1", "generators:1"]):
        with pytest.raises(BadInput):
            _build(tmp_path / "kb", datasets=datasets)
    assert _beside(tmp_path / "kb") == ["bad.json"]
    with pytest.raises(BadInput, match="the embedder minilm reads text"):
        _build(tmp_path / "kb", "--embedder", "minilm")
    assert _beside(tmp_path / "kb") == ["bad.json"]


def test_vectors_that_are_not_finite_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def embed(self: ArcEmbedder, queries: Sequence[Query], *, progress: bool = False) -> Vectors:
        return np.full((len(queries), self.dimension), np.nan, dtype=np.float32)

    monkeypatch.setattr(ArcEmbedder, "embed", embed)
    with pytest.raises(Damaged, match="finite ones of shape"):
        _build(tmp_path / "kb")
    assert _beside(tmp_path / "kb") == []


def test_text_goes_to_the_text_embedder(tmp_path: Path) -> None:
    rows = [{"question": f"What is {i} and {i}?", "answer": str(2 * i)} for i in range(12)]
    (text := tmp_path / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(BadInput, match="the embedder arc reads ARC tasks"):
        _build(tmp_path / "kb", "--embedder", "arc", datasets=[text])
    _build(tmp_path / "kb", datasets=[text])
    manifest = read_manifest(tmp_path / "kb")
    assert (manifest.kind, manifest.embedder, manifest.dimension) == ("text", "minilm", 384)
    assert manifest.sources == {"sums": 12}
