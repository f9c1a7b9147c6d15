"""A knowledge base on disk: read as written, from many threads; refused when it is not one."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hone.errors import Damaged, NotThere
from kb import build_kb, store
from kb.records import Record, task_of
from kb.store import KnowledgeBase, Manifest, is_knowledge_base, read_manifest
from models.arc_embedder import ArcEmbedder

SOURCES = ["generators:30", "generators:20:1", "generators:10:2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "kb with ? and #"
    build_kb.main(["--datasets", *SOURCES, "--save_dir", str(path)])
    return path


@pytest.fixture
def base(folder: Path) -> KnowledgeBase:
    return KnowledgeBase.open(folder)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "kb"))


def test_rows_hold_what_was_embedded(base: KnowledgeBase) -> None:
    records = base.records(range(60))
    assert [record.source for record in records] == [SOURCES[0]] * 30 + [SOURCES[1]] * 20 + [
        SOURCES[2]
    ] * 10
    tasks = [task_of(record, str(i)) for i, record in enumerate(records)]
    np.testing.assert_allclose(base.vectors(np.arange(60)), ArcEmbedder().embed(tasks), atol=1e-6)
    base.close()


def test_records_come_in_the_order_asked(base: KnowledgeBase) -> None:
    everything = base.records(range(60))
    asked = [59, 0, 7, 7, 31, 0]
    assert base.records(asked) == [everything[row] for row in asked]
    assert base.records([]) == []
    with pytest.raises(Damaged, match="lacks records"):
        base.records([60])
    base.close()


def test_nearest_is_the_largest_inner_product(base: KnowledgeBase) -> None:
    vectors = base.vectors(np.arange(60))
    scores, rows = base.nearest(vectors[:5], 7)
    likeness = vectors[:5] @ vectors.T
    np.testing.assert_allclose(scores, np.sort(likeness, axis=1)[:, ::-1][:, :7], atol=1e-5)
    assert (rows[:, 0] == np.arange(5)).all()
    base.close()


@pytest.mark.parametrize("asked", [SOURCES[:1], SOURCES[1:2], [SOURCES[2], SOURCES[0]]])
def test_a_source_filter_is_exact(base: KnowledgeBase, asked: list[str]) -> None:
    vectors = base.vectors(np.arange(60))
    allowed = np.array([record.source in asked for record in base.records(range(60))])
    _, rows = base.nearest(vectors[::7], 60, asked)
    for found in rows:
        assert sorted(found[found >= 0]) == np.flatnonzero(allowed).tolist()
    base.close()


def test_many_threads_read_at_once(base: KnowledgeBase) -> None:
    vectors, everything = base.vectors(np.arange(60)), base.records(range(60))

    def ask(i: int) -> list[Record]:
        _, rows = base.nearest(vectors[i : i + 1], 9)
        return base.records(rows[0].tolist())

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, [i % 60 for i in range(300)]))
    assert all(records[0] == everything[i % 60] for i, records in enumerate(found))
    base.close()


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match=r"no knowledge base at .*none; build one"):
        KnowledgeBase.open(tmp_path / "none")
    with pytest.raises(Damaged, match="not a knowledge base"):
        KnowledgeBase.open(tmp_path)
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')
    with pytest.raises(Damaged, match="something else"):
        KnowledgeBase.open(tmp_path)
    assert not is_knowledge_base(tmp_path)


@pytest.mark.parametrize("name", ["vectors.npy", "index.faiss", "records.sqlite"])
def test_damage_is_found(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(Damaged, match=f"{name} has changed"):
        KnowledgeBase.open(copied)
    KnowledgeBase.open(copied, verify=False).close()  # a bit is not looked for
    (copied / name).write_bytes(content[:-10])
    with pytest.raises(Damaged, match=f"{name} has .* bytes"):
        KnowledgeBase.open(copied, verify=False)
    (copied / name).unlink()
    with pytest.raises(Damaged, match=f"lacks {name}"):
        KnowledgeBase.open(copied)


@pytest.mark.parametrize("name", ["vectors.npy", "index.faiss", "records.sqlite"])
def test_rubbish_of_the_right_length_is_an_error_of_ours(copied: Path, name: str) -> None:
    (copied / name).write_bytes(b"?" * (copied / name).stat().st_size)
    with pytest.raises(Damaged, match="rebuild"):
        KnowledgeBase.open(copied, verify=False).records([0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format_version": 2}, "format version 2, this Hone reads 1"),
        ({"records": 59}, "do not add up"),
        ({"files": {}}, "do not add up"),
        ({"files": 3}, "damaged"),
        ({"sources": None}, "damaged"),
        ({"dimension": 64}, "was expected"),
    ],
)
def test_a_manifest_that_lies_is_refused(
    copied: Path, change: dict[str, object], says: str
) -> None:
    content = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps({**content, **change}))
    with pytest.raises(Damaged, match=says):
        KnowledgeBase.open(copied)


def test_a_manifest_that_lacks_something_is_refused(copied: Path) -> None:
    content = json.loads((copied / "manifest.json").read_text())
    del content["content_hash"]
    (copied / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(Damaged, match="content_hash"):
        read_manifest(copied)
    (copied / "manifest.json").write_text("{")
    with pytest.raises(Damaged, match="not JSON"):
        read_manifest(copied)


def test_what_is_open_stays_what_it_is_when_its_folder_is_replaced(copied: Path) -> None:
    base = KnowledgeBase.open(copied)
    before = base.records(range(60))
    words = ["--datasets", "generators:60:9", "--save_dir", str(copied), "--overwrite"]
    build_kb.main(words)
    with ThreadPoolExecutor(20) as pool:  # more threads than have read so far
        assert all(found == before for found in pool.map(base.records, [range(60)] * 40))
    base.close()
    with pytest.raises(Damaged, match="closed database"):
        base.records([0])


def test_a_folder_that_is_replaced_while_it_is_opened_is_not_mixed(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = store._check_files

    def replaced(path: Path, manifest: Manifest, *, every_byte: bool) -> None:
        checked(path, manifest, every_byte=every_byte)
        words = ["--datasets", "generators:60:9", "--save_dir", str(copied), "--overwrite"]
        build_kb.main(words)

    monkeypatch.setattr(store, "_check_files", replaced)
    with pytest.raises(Damaged, match="was replaced while it was opened"):
        KnowledgeBase.open(copied)
