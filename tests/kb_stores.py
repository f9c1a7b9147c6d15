"""Small knowledge bases for tests: in each of the stores, of any content, changed by hand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import pytest

from kb import build_kb, index
from kb.checked_file import FileStamp
from kb.keeping import Keeping
from kb.left_out import LEFT_OUT
from kb.manifest import MANIFEST, manifest_checksum, read_manifest
from kb.partial import ContentHash, open_partial
from kb.records import Record
from kb.vector_file import Vectors

Block = tuple[Sequence[Record], Vectors]
STORES = ["files", "hnsw", "milvus", "milvus hnsw"]


def build_in(store: str, folder: Path, datasets: Sequence[str]) -> Path:
    """`folder`, built; with an index even where it is small."""
    words = ["--datasets", *datasets, "--save_dir", str(folder)]
    if "milvus" in store:
        needs_milvus()
        words += ["--store", "milvus", "--milvus_uri", str(folder.parent / "milvus.db")]
    if "hnsw" in store:
        words += ["--index", "hnsw"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "LEAST", 1)
        assert build_kb.main(words) == 0
    return folder


def write_base(folder: Path, blocks: Iterable[Block], keeping: Keeping) -> Path:
    """A knowledge base of just these records and vectors, embedded by nobody."""
    content, counts, partial = ContentHash("none"), Counter[str](), None
    for records, vectors in blocks:
        if partial is None:
            partial, _ = open_partial(folder, {}, vectors.shape[1])
        for record in records:
            content.add(record)
            counts[record.source] += 1
        partial.add(records, vectors, content.value())
    assert partial is not None
    (folder / LEFT_OUT).touch()
    about = {"kind": "text", "embedder": "none", "embedder_fingerprint": "none"}
    more = {"sources": dict(counts), "built_from": {}, "hone_version": ""}
    partial.finish(about | more, keeping)
    return folder


def restamp(folder: Path, name: str) -> None:
    """The file is what was written, its manifest says."""
    files = {**read_manifest(folder).files, name: FileStamp.of(folder / name)}
    rewrite_manifest(folder, {"files": {name: asdict(stamp) for name, stamp in files.items()}})


def rewrite_manifest(folder: Path, change: dict[str, object]) -> None:
    """As somebody does it who knows how its checksum is made."""
    content = json.loads((folder / MANIFEST).read_text())
    content = {name: value for name, value in content.items() if name != "checksum"} | change
    content["checksum"] = manifest_checksum(content)
    (folder / MANIFEST).write_text(json.dumps(content))


def needs_milvus() -> None:
    for package in ("pymilvus", "milvus_lite"):
        if find_spec(package) is None:
            pytest.skip(f"no package {package}; bash install.sh --extras milvus")
