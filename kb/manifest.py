"""The manifest of a knowledge base: its description of itself, checked as it is read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from hone.errors import Damaged, NotThere
from hone.files import read_json
from kb.checked_file import CheckedFile, FileStamp, check_size
from kb.index import IndexCard
from kb.left_out import LEFT_OUT
from kb.records import Kind

FORMAT, FORMAT_VERSION = "hone knowledge base", 2
MANIFEST, VECTORS, INDEX, RECORDS = "manifest.json", "vectors.npy", "index.faiss", "records.sqlite"


@dataclass(frozen=True)
class MilvusPlace:
    """Where in Milvus the vectors and records are, if they are not files of the folder."""

    uri: str
    collection: str
    vectors_sha256: str  # over all vectors in order


@dataclass(frozen=True)
class Manifest:
    kind: Kind
    embedder: str
    embedder_fingerprint: str
    dimension: int
    metric: str
    records: int
    sources: dict[str, int]
    content_hash: str
    index: IndexCard
    milvus: MilvusPlace | None
    files: dict[str, FileStamp]
    built_from: dict[str, Any]
    hone_version: str
    format: str = FORMAT
    format_version: int = FORMAT_VERSION

    def to_json(self) -> dict[str, Any]:
        content = asdict(self)
        return {**content, "checksum": manifest_checksum(content)}

    def check_files(self, path: Path, *, every_byte: bool = False) -> None:
        """Checks that the files have the right sizes and, with `every_byte`, the right content."""
        for name, stamp in self.files.items():
            check_size(path / name, stamp)
            if every_byte:
                CheckedFile(path / name, stamp).check()


def read_manifest(path: Path) -> Manifest:
    """The manifest of the folder; refuses, with the reason, one that this version cannot read."""
    if not path.is_dir():
        raise NotThere(f"no knowledge base at {path}; build one with kb/build_kb.py")
    if not (path / MANIFEST).is_file():
        raise Damaged(
            f"{path} is not a knowledge base: it has no {MANIFEST}; build one with kb/build_kb.py"
        )
    content = read_json(path / MANIFEST)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Damaged(f"{path} is not a knowledge base: its {MANIFEST} is of something else")
    if (found := content.get("format_version")) != FORMAT_VERSION:
        raise Damaged(
            f"{path} has format version {found}, this Hone reads {FORMAT_VERSION};"
            " rebuild it, or use the Hone that wrote it"
        )
    if content.pop("checksum", None) != manifest_checksum(content):
        raise Damaged(f"{path / MANIFEST} has changed since it was written; rebuild it")
    return _manifest_from(content, path)


def is_knowledge_base(path: Path) -> bool:
    """Whether the folder's manifest claims to be one, sound or not."""
    try:
        content = read_json(path / MANIFEST)
    except (NotThere, Damaged):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def file_names(index: IndexCard, milvus: MilvusPlace | None) -> list[str]:
    """The files that a knowledge base has besides its manifest."""
    if milvus is not None:
        return [LEFT_OUT]
    return [VECTORS, RECORDS, LEFT_OUT, *([INDEX] if index.kind != "flat" else [])]


def manifest_checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _manifest_from(content: dict[str, Any], path: Path) -> Manifest:
    missing = {field.name for field in fields(Manifest)} - content.keys()
    try:
        if missing:
            raise KeyError(", ".join(sorted(missing)))
        manifest = Manifest(
            **{
                **content,
                "index": IndexCard(**content["index"]),
                "milvus": MilvusPlace(**content["milvus"]) if content["milvus"] else None,
                "files": {
                    name: FileStamp(stamp["size"], tuple(stamp["blocks"]))
                    for name, stamp in content["files"].items()
                },
            }
        )
        expected = set(file_names(manifest.index, manifest.milvus))
        if sum(manifest.sources.values()) != manifest.records or expected != set(manifest.files):
            raise ValueError("counts or files do not add up")
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise Damaged(f"{path / MANIFEST} is damaged: {error}; rebuild it") from None
    return manifest
