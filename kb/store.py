"""A knowledge base on disk: opened, verified, searched; its records read by row.

    manifest.json     versions, embedder, dimension, counts, content hash, every file's sha256
    vectors.npy       [records, dimension] float32, mapped
    index.faiss       inner products over the same rows
    records.sqlite    source, kind, prompt, answer by row, read only

Rows of one source stand together, in the manifest's order.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from hone.errors import Damaged, NotThere
from hone.files import read_json, sha256_of
from kb.exact_search import search
from kb.records import Kind, Record

Vectors = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

FORMAT, FORMAT_VERSION = "hone knowledge base", 1
MANIFEST, VECTORS, INDEX, RECORDS = "manifest.json", "vectors.npy", "index.faiss", "records.sqlite"
_AT_ONCE = 1000  # rows asked of SQLite in one question
_READERS = 8  # threads that read records at once; a reading takes a fraction of a millisecond
_MAPPED = 1 << 34  # bytes of records.sqlite that may be mapped


class Store(Protocol):
    """What retrieval needs of a knowledge base, wherever it is kept."""

    @property
    def manifest(self) -> Manifest: ...

    def nearest(
        self, queries: Vectors, k: int, sources: Sequence[str] | None
    ) -> tuple[Scores, Rows]:
        """[queries, k] best first; where there are fewer than k, the rest of the rows is -1."""
        ...

    def vectors(self, rows: Rows) -> Vectors: ...

    def records(self, rows: Sequence[int]) -> list[Record]:
        """The records in the order of `rows`."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class FileStamp:
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        return cls(path.stat().st_size, sha256_of(path))


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
    files: dict[str, FileStamp]
    built_from: dict[str, Any]
    hone_version: str
    format: str = FORMAT
    format_version: int = FORMAT_VERSION

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class KnowledgeBase:
    """A folder that was opened; safe to read from many threads."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self._vectors: Vectors = _mapped_vectors(path / VECTORS, manifest)
        self._index = _read_index(path / INDEX, manifest)
        self._readers = _open_readers(path / RECORDS)

    @classmethod
    def open(cls, path: Path | str, *, verify: bool = True) -> KnowledgeBase:
        """The knowledge base in the folder; with `verify`, every byte of it is checked."""
        path = Path(path)
        manifest = read_manifest(path)
        _check_files(path, manifest, every_byte=verify)
        opened = cls(path, manifest)
        if read_manifest(path) != manifest:  # some files may be of the one, some of the other
            opened.close()
            raise Damaged(f"{path} was replaced while it was opened; open it again")
        return opened

    def nearest(
        self, queries: Vectors, k: int, sources: Sequence[str] | None = None
    ) -> tuple[Scores, Rows]:
        more = {}
        if sources is not None:
            faiss, bits = load_faiss(), np.packbits(self._mask(sources), bitorder="little")
            more["params"] = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
        scores, rows = search(self._index, np.ascontiguousarray(queries), k, **more)
        return scores, rows

    def vectors(self, rows: Rows) -> Vectors:
        return np.asarray(self._vectors[rows])

    def records(self, rows: Sequence[int]) -> list[Record]:
        wanted, held = sorted({int(row) for row in rows}), {}
        with self._connection() as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                held.update(_fetch(connection, wanted[start : start + _AT_ONCE]))
        if len(held) < len(wanted):
            raise Damaged(f"{self.path / RECORDS} lacks records; rebuild the knowledge base")
        return [held[int(row)] for row in rows]

    def close(self) -> None:
        """Once no thread reads any more. They go back closed, so that a late reader is told."""
        readers = [self._readers.get() for _ in range(_READERS)]
        for reader in readers:
            reader.close()
            self._readers.put(reader)

    def _mask(self, sources: Sequence[str]) -> npt.NDArray[np.bool_]:
        counts = self.manifest.sources
        return np.repeat([name in sources for name in counts], list(counts.values()))

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection of one's own for the while. None is opened later on: by then another
        knowledge base may stand at the path."""
        reader = self._readers.get()
        try:
            yield reader
        finally:
            self._readers.put(reader)


def read_manifest(path: Path) -> Manifest:
    """The folder's manifest, or why it is not one that this version reads."""
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
    return _manifest_from(content, path)


def is_knowledge_base(path: Path) -> bool:
    """Whether the folder says so of itself, sound or not."""
    try:
        content = read_json(path / MANIFEST)
    except (NotThere, Damaged):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def hone_version() -> str:
    try:
        return version("hone")
    except PackageNotFoundError:
        return "unknown"


def _manifest_from(content: dict[str, Any], path: Path) -> Manifest:
    missing = {field.name for field in fields(Manifest)} - content.keys()
    try:
        if missing:
            raise KeyError(", ".join(sorted(missing)))
        files = {name: FileStamp(**stamp) for name, stamp in content["files"].items()}
        known = {field.name: content[field.name] for field in fields(Manifest)}
        manifest = Manifest(**{**known, "files": files})
        if sum(manifest.sources.values()) != manifest.records or {VECTORS, INDEX, RECORDS} - set(
            files
        ):
            raise ValueError("counts or files do not add up")
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise Damaged(f"{path / MANIFEST} is damaged: {error}; rebuild it") from None
    return manifest


def _check_files(path: Path, manifest: Manifest, *, every_byte: bool) -> None:
    for name, stamp in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise Damaged(f"{path} lacks {name}; rebuild the knowledge base")
        if (size := file.stat().st_size) != stamp.size:
            raise Damaged(
                f"{file} has {size} bytes, {stamp.size} were written; rebuild the knowledge base"
            )
        if every_byte and sha256_of(file) != stamp.sha256:
            raise Damaged(f"{file} has changed since it was written; rebuild the knowledge base")


def _mapped_vectors(file: Path, manifest: Manifest) -> Vectors:
    try:
        vectors: Vectors = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise Damaged(f"{file} holds no vectors: {error}; rebuild the knowledge base") from None
    expected = (manifest.records, manifest.dimension)
    if vectors.shape != expected or vectors.dtype != np.float32:
        raise Damaged(f"{file} holds {vectors.shape} {vectors.dtype}, {expected} was expected")
    return vectors


def _read_index(file: Path, manifest: Manifest) -> Any:
    faiss = load_faiss()
    try:
        index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)  # mapped, so never add to it
    except RuntimeError as error:
        line = str(error).splitlines()[0]
        raise Damaged(f"{file} is not an index: {line}; rebuild the knowledge base") from None
    if (index.ntotal, index.d) != (manifest.records, manifest.dimension):
        raise Damaged(f"{file} is of another knowledge base; rebuild it")
    return index


def load_faiss() -> Any:
    """FAISS; its stubs know only the C++ signatures."""
    import faiss

    return faiss


def _open_readers(file: Path) -> SimpleQueue[sqlite3.Connection]:
    readers = SimpleQueue[sqlite3.Connection]()
    for _ in range(_READERS):
        readers.put(_connect(file))
    return readers


def _connect(file: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(file.resolve()))}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
    connection.execute(f"PRAGMA mmap_size={_MAPPED}")
    return connection


def _fetch(connection: sqlite3.Connection, rows: list[int]) -> dict[int, Record]:
    marks = ",".join("?" * len(rows))
    try:
        found = connection.execute(
            f"SELECT id, source, kind, prompt, answer FROM records WHERE id IN ({marks})", rows
        ).fetchall()
    except sqlite3.DatabaseError as error:
        raise Damaged(f"the records cannot be read: {error}; rebuild the knowledge base") from None
    return {row: Record(*rest) for row, *rest in found}
