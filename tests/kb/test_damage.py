"""Every file of a knowledge base truncated, with a bit flipped, and removed: refused with the
reason, or, where the damage lies in what was not asked for, without a difference."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kb_stores import build_in, rewrite_manifest
from tiny_bases import small_task, write_tasks

from hone.errors import Damaged, HoneError, NotThere
from kb import store
from kb.__main__ import main
from kb.info import told
from kb.manifest import Manifest, is_knowledge_base, read_manifest
from kb.retriever import LocalRetriever
from kb.store import KnowledgeBase, Store

NAMES = ["manifest.json", "vectors.npy", "index.faiss", "records.sqlite", "left_out.jsonl"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that has all kinds of files, and records that were left out."""
    place = tmp_path_factory.mktemp("damage")
    return build_in("hnsw", place / "kb", [_tasks(place / "tasks", 4, 5, 6, 4), "generators:37"])


@pytest.fixture(scope="module")
def answers(folder: Path) -> Any:
    return _asked(folder)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "kb"))


def _tasks(folder: Path, *colours: int) -> str:
    return str(write_tasks(folder, [small_task(f"{i}", c) for i, c in enumerate(colours)]))


def _asked(folder: Path) -> Any:
    """All that a user can learn from a knowledge base."""
    with closing(KnowledgeBase.open(folder)) as base:
        vectors = base.vectors(np.arange(0, 40, 5))
        retriever = LocalRetriever(base)
        found = [retriever.search(vectors, 10, method=method) for method in ("faiss", "sift")]
        return found, retriever.info(), base.records(range(40)), list(told(folder))


@contextmanager
def _instead(path: Path, content: bytes) -> Iterator[None]:
    """The file says something else for the while."""
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def _flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


@settings(max_examples=25)
@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_flipped_bit_never_makes_an_answer_wrong(
    folder: Path, answers: Any, name: str, data: st.DataObject
) -> None:
    content = (folder / name).read_bytes()
    bit = data.draw(st.integers(0, len(content) * 8 - 1), label="bit")
    with _instead(folder / name, _flipped(content, bit)):
        with pytest.raises(Damaged, match=r"rebuild|mend|something else"):
            KnowledgeBase.open(folder, verify=True).close()
        try:
            found = _asked(folder)
        except Damaged:
            return
        assert found == answers


@settings(max_examples=10)
@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_truncated_file_is_refused(folder: Path, name: str, data: st.DataObject) -> None:
    content = (folder / name).read_bytes()
    size = data.draw(st.integers(0, len(content) - 2), label="bytes left")  # behind: a newline
    with (
        _instead(folder / name, content[:size]),
        pytest.raises(Damaged, match=rf"{name} (has {size} bytes|is not JSON|has changed)"),
    ):
        _asked(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_removed_file_is_refused(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(Damaged, match=f"(lacks|has no) {name}"):
        _asked(copied)
    with pytest.raises(Damaged, match=name):
        list(told(copied))


@pytest.mark.parametrize("name", NAMES[1:])
def test_rubbish_of_the_right_length_is_refused(copied: Path, name: str) -> None:
    (copied / name).write_bytes(b"?" * (copied / name).stat().st_size)
    with pytest.raises(Damaged, match="rebuild"):
        _asked(copied)


def test_records_of_another_base_are_refused(copied: Path, tmp_path: Path) -> None:
    """Though they are whole, and as long."""
    tasks = _tasks(tmp_path / "tasks", 4, 5, 7, 4)
    other = build_in("files", tmp_path / "other", [tasks, "generators:37"])
    sizes = {(path / "records.sqlite").stat().st_size for path in (other, copied)}
    assert len(sizes) == 1
    shutil.copy(other / "records.sqlite", copied)
    with pytest.raises(Damaged, match="another knowledge base"):
        KnowledgeBase.open(copied)


def test_a_base_that_is_open_stays_what_it_was(copied: Path, answers: Any) -> None:
    """When another takes its place, threads that come later still read the one that was opened."""
    with closing(KnowledgeBase.open(copied)) as base:
        build_in("files", copied.with_name("new"), ["generators:40"])
        shutil.rmtree(copied)
        copied.with_name("new").rename(copied)
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.extend(base.records(range(40))))
        thread.start()
        thread.join()
        assert found == answers[2]
        vectors = base.vectors(np.arange(0, 40, 5))
        assert LocalRetriever(base).search(vectors, 10) == answers[0][0]
    with pytest.raises(Damaged, match="closed database"):
        base.records([0])


def test_a_folder_that_is_replaced_while_it_is_opened_is_not_mixed(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = build_in("hnsw", copied.with_name("new"), ["generators:40"])

    def replaced(path: Path, manifest: Manifest) -> Store:
        opened = real(path, manifest)
        shutil.rmtree(path)
        other.rename(path)
        return opened

    real = store._opened_store
    monkeypatch.setattr(store, "_opened_store", replaced)
    with pytest.raises(Damaged, match="was replaced while it was opened; open it again"):
        KnowledgeBase.open(copied)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match=r"no knowledge base at .*none; build one"):
        KnowledgeBase.open(tmp_path / "none")
    with pytest.raises(Damaged, match="not a knowledge base"):
        KnowledgeBase.open(tmp_path)
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')
    with pytest.raises(Damaged, match="something else"):
        KnowledgeBase.open(tmp_path)
    assert not is_knowledge_base(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format_version": 3}, "format version 3, this Hone reads 2"),
        ({"format_version": 1}, r"format version 1.*rebuild it, or use the Hone that wrote it"),
        ({"records": 39}, "do not add up"),
        ({"files": {}}, "do not add up"),
        ({"files": 3}, "damaged"),
        ({"sources": None}, "damaged"),
        ({"index": {}}, "damaged"),
        ({"more": 1}, "damaged"),
        ({"dimension": 64}, "was expected"),
    ],
)
def test_a_manifest_that_lies_is_refused(
    copied: Path, change: dict[str, object], says: str
) -> None:
    rewrite_manifest(copied, change)
    for ask in (KnowledgeBase.open, lambda path: list(told(path))):
        if change != {"dimension": 64} or ask is KnowledgeBase.open:
            with pytest.raises(Damaged, match=says):
                ask(copied)


def test_a_manifest_of_the_future_may_look_different(copied: Path) -> None:
    future = {"format": "hone knowledge base", "format_version": 99, "parts": []}
    (copied / "manifest.json").write_text(json.dumps(future))
    for name in ("info", "verify"):
        with pytest.raises(HoneError, match=r"format version 99.*use the Hone that wrote it"):
            main([name, "--knowledge_base_path", str(copied)])


def test_a_manifest_that_lacks_something_is_refused(copied: Path) -> None:
    content = json.loads((copied / "manifest.json").read_text())
    del content["content_hash"]
    (copied / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(Damaged, match="has changed"):
        read_manifest(copied)
    rewrite_manifest(copied, {})
    with pytest.raises(Damaged, match="content_hash"):
        read_manifest(copied)
