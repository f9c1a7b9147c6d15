"""The records of a knowledge base: one SQLite file, read by row, each row checked by its checksum.

The same file was the journal of the build (kb/partial.py), so it also says which content it has.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hone.errors import Damaged
from kb.records import Record, checked_record

TABLES = """
CREATE TABLE records (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, kind TEXT NOT NULL,
    prompt TEXT NOT NULL, answer TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE progress (identity TEXT NOT NULL, records INTEGER NOT NULL, running_hash TEXT NOT NULL)
"""
_AT_ONCE = 1000  # rows in one query of SQLite
_MAPPED = 1 << 34  # bytes that SQLite may map


class RecordFile:
    """All threads share one connection: it keeps reading this file after another replaces it, and
    a search needs it for a fraction of a millisecond."""

    def __init__(self, path: Path, records: int, content_hash: str) -> None:
        self.path, self._lock = path, threading.Lock()
        uri = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        try:
            self._check_content(records, content_hash)
        except Damaged:
            self.close()
            raise

    def read(self, rows: Sequence[int]) -> list[Record]:
        """The records in the order of `rows`."""
        wanted, held = sorted({int(row) for row in rows}), dict[int, Record]()
        for start in range(0, len(wanted), _AT_ONCE):
            for row, *columns, checksum in self._fetched(wanted[start : start + _AT_ONCE]):
                held[row] = checked_record(row, columns, checksum, str(self.path))
        if len(held) < len(wanted):
            raise Damaged(f"{self.path} lacks records; rebuild the knowledge base")
        return [held[int(row)] for row in rows]

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _check_content(self, records: int, content_hash: str) -> None:
        self._asked(f"PRAGMA mmap_size={_MAPPED}")
        said = self._asked("SELECT records, running_hash FROM progress")
        if said != [(records, content_hash)]:
            raise Damaged(f"{self.path} is of another knowledge base; rebuild it")

    def _fetched(self, rows: list[int]) -> list[tuple[Any, ...]]:
        marks = ",".join("?" * len(rows))
        return self._asked(
            f"SELECT id, source, kind, prompt, answer, checksum FROM records WHERE id IN ({marks})",
            rows,
        )

    def _asked(self, question: str, values: Sequence[int] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._connection.execute(question, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise Damaged(
                f"{self.path} cannot be read: {error}; rebuild the knowledge base"
            ) from None
