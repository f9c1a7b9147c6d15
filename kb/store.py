"""A knowledge base that was opened: its manifest, and its store in files or in Milvus.

    KnowledgeBase.open("knowledge_base").nearest(vectors, 32)

    manifest.json     versions, embedder, dimension, counts, content hash, checksums
    vectors.npy       [records, dimension] float32, mapped, searched where it lies
    index.faiss       only for the indexes ivf, hnsw and pq (kb/index.py)
    records.sqlite    source, kind, prompt, answer by row, read only
    left_out.jsonl    what was left out and why

The rows of a source are consecutive, in the manifest's order of sources. A knowledge base in Milvus
has its vectors and records there; only the manifest and left_out.jsonl are files.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

from hone.errors import Damaged
from kb.manifest import Manifest, read_manifest
from kb.records import Record
from kb.vector_file import Found, Rows, Scores, Vectors

__all__ = ["KnowledgeBase", "Manifest", "Rows", "Scores", "Store", "Vectors", "hone_version"]


class Store(Protocol):
    """What retrieval needs of a knowledge base, wherever it is kept."""

    @property
    def manifest(self) -> Manifest: ...

    def nearest(self, queries: Vectors, k: int, sources: Sequence[str] | None) -> Found:
        """Scores and rows, [queries, k] each, best first; rows are -1 where fewer than k are
        found."""
        ...

    def vectors(self, rows: Rows) -> Vectors: ...

    def records(self, rows: Sequence[int]) -> list[Record]:
        """The records in the order of `rows`."""
        ...

    def close(self) -> None: ...


class KnowledgeBase:
    """A folder that was opened; safe to read from many threads."""

    def __init__(self, path: Path, manifest: Manifest, store: Store) -> None:
        self.path, self.manifest, self._store = path, manifest, store

    @classmethod
    def open(cls, path: Path | str, *, verify: bool = False) -> KnowledgeBase:
        """Opens the folder. What is read later is checked before it is used; with `verify`, every
        byte of its files is checked now."""
        path = Path(path)
        manifest = read_manifest(path)
        manifest.check_files(path, every_byte=verify)
        opened = cls(path, manifest, _opened_store(path, manifest))
        if read_manifest(path) != manifest:  # what was opened may be a mixture of both
            opened.close()
            raise Damaged(f"{path} was replaced while it was opened; open it again")
        return opened

    def nearest(self, queries: Vectors, k: int, sources: Sequence[str] | None = None) -> Found:
        return self._store.nearest(queries, k, sources)

    def vectors(self, rows: Rows) -> Vectors:
        return self._store.vectors(rows)

    def records(self, rows: Sequence[int]) -> list[Record]:
        return self._store.records(rows)

    def close(self) -> None:
        self._store.close()


def hone_version() -> str:
    try:
        return version("hone")
    except PackageNotFoundError:
        return "unknown"


def _opened_store(path: Path, manifest: Manifest) -> Store:
    if manifest.milvus is not None:
        from kb.milvus_store import MilvusStore

        return MilvusStore(manifest, manifest.milvus)
    from kb.file_store import FileStore

    return FileStore(path, manifest)
