"""A knowledge base that is being built, block by block, in a folder that survives a kill.

The folder `.NAME.partial` is beside the base to be built, and is renamed when it is whole. Its
SQLite file is the journal: a block counts once its rows are committed, which happens after its
vectors are on disk. A build that continues cuts off vectors that were not committed, checks by a
running hash that the sources still give the same records, and starts after the last block.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hone.errors import Damaged
from hone.files import write_json
from kb.checked_file import FileStamp
from kb.keeping import Keeping
from kb.manifest import MANIFEST, RECORDS, VECTORS, Manifest, file_names
from kb.record_file import TABLES
from kb.records import Record, spelled
from kb.vector_file import Vectors, npy_header


class ContentHash:
    """The hash of embedder and records in order: equal for equal bases, whoever built them."""

    def __init__(self, embedder_fingerprint: str) -> None:
        self._hash = hashlib.sha256(spelled("hone", embedder_fingerprint))

    def add(self, record: Record) -> None:
        self._hash.update(spelled(record.source, record.kind, record.prompt, record.answer))

    def value(self) -> str:
        return self._hash.hexdigest()


class PartialBase:
    """The folder being filled; its first `done` records are safe."""

    def __init__(self, folder: Path, identity: dict[str, Any], dimension: int) -> None:
        self.folder, self.dimension = folder, dimension
        self._records = _journal(folder / RECORDS, identity)
        progress = self._records.execute("SELECT records, running_hash FROM progress")
        self.done, self.running_hash = progress.fetchone()
        self._vectors = self._cut_behind_last_block()

    def add(self, records: Sequence[Record], vectors: Vectors, running_hash: str) -> None:
        """Adds a block, all of it or nothing."""
        if vectors.shape != (len(records), self.dimension) or not np.isfinite(vectors).all():
            raise Damaged(
                f"the embedder gave vectors of shape {vectors.shape}, finite ones of shape"
                f" {(len(records), self.dimension)} were expected"
            )
        self._vectors.write(np.ascontiguousarray(vectors, dtype="<f4").tobytes())
        self._vectors.flush()
        os.fsync(self._vectors.fileno())
        done = self.done + len(records)
        rows = [_columns(i, record) for i, record in enumerate(records, self.done)]
        with _full_disk_said(self.folder), self._records:
            self._records.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._records.execute(
                "UPDATE progress SET records=?, running_hash=?", (done, running_hash)
            )
        self.done, self.running_hash = done, running_hash

    def finish(self, about: dict[str, Any], keeping: Keeping) -> Manifest:
        """Indexes or uploads the records that are in, and writes the manifest."""
        self.close()
        shape = (self.done, self.dimension)
        with (self.folder / VECTORS).open("r+b") as file:
            file.write(npy_header(shape))
        index, milvus = keeping.keep(self.folder, shape, self.running_hash)
        names = file_names(index, milvus)
        manifest = Manifest(
            **about,
            dimension=self.dimension,
            metric="ip",
            records=self.done,
            content_hash=self.running_hash,
            index=index,
            milvus=milvus,
            files={name: FileStamp.of(self.folder / name) for name in names},
        )
        write_json(self.folder / MANIFEST, manifest.to_json())
        return manifest

    def close(self) -> None:
        self._records.close()
        self._vectors.close()

    def discard(self) -> None:
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _cut_behind_last_block(self) -> Any:
        """The file of vectors, cut after the last committed block and open for appending."""
        header = npy_header((0, self.dimension))
        whole = len(header) + self.done * self.dimension * 4
        file = (self.folder / VECTORS).open("ab")
        if file.tell() < whole and self.done:
            file.close()
            self._records.close()
            raise Damaged(f"{self.folder} lost vectors")
        if file.tell() < whole:
            file.truncate(0)
            file.write(header)
        file.truncate(whole)
        return file


def partial_folder(save_dir: Path) -> Path:
    return save_dir.with_name(f".{save_dir.name}.partial")


def open_partial(
    folder: Path, identity: dict[str, Any], dimension: int
) -> tuple[PartialBase, str | None]:
    """The partial base to fill, and a line on what became of an unfinished build."""
    note = None
    if folder.exists():
        with contextlib.suppress(sqlite3.DatabaseError, Damaged):
            partial = PartialBase(folder, identity, dimension)
            return partial, f"continuing an unfinished build after {partial.done} records"
        shutil.rmtree(folder)
        note = "an unfinished build with other data or settings was discarded"
    folder.mkdir(parents=True)
    return PartialBase(folder, identity, dimension), note


def _journal(file: Path, identity: dict[str, Any]) -> sqlite3.Connection:
    """The journal of the build with this identity; a new one where the file is not there."""
    spelled_out = json.dumps(identity, sort_keys=True)
    journal = sqlite3.connect(file)
    try:
        journal.execute("PRAGMA synchronous=FULL")
        if not journal.execute("SELECT 1 FROM sqlite_master").fetchall():
            with journal:
                journal.execute("BEGIN")
                for statement in TABLES.split(";"):
                    journal.execute(statement)
                journal.execute("INSERT INTO progress VALUES (?, 0, '')", (spelled_out,))
        if journal.execute("SELECT identity FROM progress").fetchone() != (spelled_out,):
            raise Damaged(f"{file} is of another build")
    except (sqlite3.DatabaseError, Damaged):
        journal.close()
        raise
    return journal


@contextlib.contextmanager
def _full_disk_said(folder: Path) -> Iterator[None]:
    """Turns SQLite's error for a full disk into the OSError of other files."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from None


def _columns(row: int, record: Record) -> tuple[int, str, str, str, str, int]:
    checksum = record.checksum(row)
    return row, record.source, record.kind, record.prompt, record.answer, checksum
