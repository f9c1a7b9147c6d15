"""The store of a knowledge base whose vectors and records are files of its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kb.checked_file import CheckedFile
from kb.exact_search import ExactSearch, runs_of
from kb.index import Index
from kb.manifest import INDEX, RECORDS, VECTORS, Manifest
from kb.record_file import RecordFile
from kb.records import Record
from kb.vector_file import Found, Rows, VectorFile, Vectors


class FileStore:
    """The mapped vectors, the index if there is one, and the records by row."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        shape = (manifest.records, manifest.dimension)
        self._vectors = VectorFile(path / VECTORS, manifest.files[VECTORS], shape)
        self._index = _opened_index(path / INDEX, manifest, self._vectors)
        self._exact = ExactSearch(self._vectors, with_shadow=self._index is None)
        self._records = RecordFile(path / RECORDS, manifest.records, manifest.content_hash)

    def nearest(self, queries: Vectors, k: int, sources: Sequence[str] | None) -> Found:
        """By the index if there is one, else exact. A search in some sources only is always exact,
        and so is one for which the index finds too few rows."""
        if self._index is not None and sources is None:
            scores, rows = self._index.nearest(queries, k, self.manifest.index.effort)
            if (rows >= 0).all():
                return scores, rows
        return self._exact.nearest(runs_of(self.manifest.sources, sources), queries, k)

    def vectors(self, rows: Rows) -> Vectors:
        return self._exact.vectors(rows)

    def records(self, rows: Sequence[int]) -> list[Record]:
        return self._records.read(rows)

    def close(self) -> None:
        self._exact.settle()
        self._vectors.close()
        self._records.close()


def _opened_index(file: Path, manifest: Manifest, vectors: VectorFile) -> Index | None:
    """The index, if there is one. The whole file is checked first: FAISS trusts what it reads, and
    a search may touch any part of it."""
    kind = manifest.index.kind
    if kind == "flat":
        return None
    checked = CheckedFile(file, manifest.files[INDEX])
    checked.check()
    checked.close()
    return Index.open(file, kind, vectors)
