"""A knowledge base in Milvus: what is sent, what comes back, and what stands between.

What it answers is in test_store.py, beside what files answer.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kb_stores import build_in, needs_milvus, write_base

from hone.errors import BadInput, Damaged, HoneError, NotThere, Unreachable
from kb import build_kb, milvus_upload
from kb.__main__ import main
from kb.keeping import Keeping
from kb.manifest import MilvusPlace, read_manifest
from kb.milvus_connection import connected
from kb.milvus_store import held_rows
from kb.records import Record
from kb.store import KnowledgeBase

ROOT = Path(__file__).resolve().parent.parent.parent
DATASETS = ["generators:20"]


@pytest.fixture(autouse=True)
def _packages() -> None:
    needs_milvus()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_in("milvus", tmp_path / "kb", DATASETS)


def _place(folder: Path) -> MilvusPlace:
    place = read_manifest(folder).milvus
    assert place is not None
    return place


@pytest.fixture
def client(folder: Path) -> Iterator[Any]:
    with closing(connected(_place(folder).uri)) as opened:
        yield opened


def _run(*words: object) -> None:
    assert build_kb.main([str(word) for word in words]) == 0


def test_only_what_it_says_of_itself_is_in_files(folder: Path, client: Any) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["left_out.jsonl", "manifest.json"]
    assert held_rows(client, _place(folder).collection) == 20


def test_long_and_strange_texts_come_back(tmp_path: Path) -> None:
    """A text field of Milvus takes 65535 bytes."""
    texts = ["", "é" * 50_000, "𝄞" * 16_001, 'quotes " and \\ and \n', "x" * 200_000]
    records = [Record("s", "text", text, text[::-1]) for text in texts]
    vectors = np.eye(5, dtype=np.float32)
    keeping = Keeping(milvus_uri=str(tmp_path / "m.db"))
    folder = write_base(tmp_path / "kb", [(records, vectors)], keeping)
    with closing(KnowledgeBase.open(folder)) as base:
        assert base.records(range(5)) == records
        assert np.array_equal(base.vectors(np.arange(5)), vectors)


def test_an_upload_that_was_killed_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(milvus_upload, "_AT_ONCE", 8)
    real, calls = milvus_upload._as_rows, 0

    def killed(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(milvus_upload, "_as_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            build_in("milvus", tmp_path / "kb", DATASETS)
    assert not (tmp_path / "kb").exists()
    build_in("milvus", tmp_path / "kb", DATASETS)
    assert "after 20 records" in capsys.readouterr().err
    assert main(["verify", "--knowledge_base_path", str(tmp_path / "kb")]) == 0


def test_the_same_content_is_sent_once(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_upload, "_fill", None)  # would be an error
    again = tmp_path / "again"
    uri = _place(folder).uri
    _run("--datasets", *DATASETS, "--save_dir", again, "--store", "milvus", "--milvus_uri", uri)
    assert _place(again) == _place(folder)


def test_what_changed_in_milvus_is_found(folder: Path, client: Any) -> None:
    collection = _place(folder).collection
    row = client.get(collection, [7], output_fields=["*"])[0]
    client.upsert(collection, [{**row, "answer": ["[[[1]]]"]}])
    with closing(KnowledgeBase.open(folder)) as base:
        base.records([6])
        with pytest.raises(Damaged, match="record 7 has changed"):
            base.records([7])
    client.upsert(collection, [{**row, "vector": np.roll(row["vector"], 1)}])
    with pytest.raises(Damaged, match="other vectors"):
        main(["verify", "--knowledge_base_path", str(folder)])
    client.delete(collection, ids=[3])
    with pytest.raises(Damaged, match="has 19 records, 20 were written"):
        KnowledgeBase.open(folder)
    client.drop_collection(collection)
    with pytest.raises(Damaged, match="has 0 records"):
        KnowledgeBase.open(folder)


def test_where_it_went_is_said_by_the_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(_place(folder).uri)  # as the builder's end does
    moved = tmp_path / "elsewhere.db"
    Path(_place(folder).uri).rename(moved)
    with pytest.raises(NotThere, match=r"milvus\.db, which is not there; .*HONE_MILVUS_URI"):
        KnowledgeBase.open(folder)
    monkeypatch.setenv("HONE_MILVUS_URI", str(moved))
    KnowledgeBase.open(folder).close()


def test_a_change_says_which_collection_it_leaves(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _place(folder)
    _run("--append", "--datasets", "generators:5:1", "--save_dir", folder)
    assert f"collection {before.collection} in" in capsys.readouterr().err
    assert _place(folder).collection != before.collection
    _run("--append", "--store", "faiss", "--datasets", "generators:5:2", "--save_dir", folder)
    assert read_manifest(folder).milvus is None and read_manifest(folder).records == 30
    assert main(["verify", "--knowledge_base_path", str(folder)]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--store", "milvus"], "needs --milvus_uri"),
        (["--milvus_uri", "a.db"], "is for --store milvus"),
        (["--store", "faiss", "--milvus_uri", "a.db"], "is for --store milvus"),
        (["--store", "milvus", "--milvus_uri", "a.txt"], r"a\.txt; give .*ends in \.db"),
        (["--store", "milvus", "--milvus_uri", "ftp://a.db"], "ftp://a.db; give"),
        (["--store", "milvus", "--milvus_uri", "a.db", "--index", "pq"], "pq is not for Milvus"),
        (["--store", "redis"], "choose from auto, faiss, milvus"),
    ],
)
def test_bad_input_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=says):
        _run("--datasets", *DATASETS, *words)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The build is kept, and goes on once it is."""
    monkeypatch.setattr("kb.milvus_connection.PATIENCE", 0.5)
    words = ["--datasets", *DATASETS, "--save_dir", tmp_path / "kb", "--store", "milvus"]
    with pytest.raises(Unreachable, match=r"Milvus at http://127\.0\.0\.1:1"):
        _run(*words, "--milvus_uri", "http://127.0.0.1:1")
    assert [path.name for path in tmp_path.iterdir()] == [".kb.partial"]
    _run(*words, "--milvus_uri", tmp_path / "m.db")


def test_a_file_that_another_process_has(folder: Path) -> None:
    """And no traceback before the line."""
    command = [sys.executable, "-m", "kb", "verify", "--knowledge_base_path", str(folder)]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert told.returncode == 2
    assert re.fullmatch(
        r"error: Milvus at .*milvus\.db: .*; check .* no other process has the file open\n",
        told.stderr,
    )


def test_packages_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(NotThere, match=r"bash install\.sh --extras milvus"):
        _run("--datasets", *DATASETS, "--store", "milvus", "--milvus_uri", tmp_path / "m.db")
    assert list(tmp_path.iterdir()) == []


def test_each_bit_of_its_files_counts(folder: Path) -> None:
    for name in ("manifest.json", "left_out.jsonl"):
        content = (folder / name).read_bytes()
        for changed in (content[:-2], content + b" \n{}", content.replace(b"2", b"3", 1)):
            if changed != content:
                (folder / name).write_bytes(changed)
                with pytest.raises(HoneError):
                    KnowledgeBase.open(folder, verify=True)
        (folder / name).write_bytes(content)
    KnowledgeBase.open(folder, verify=True).close()
