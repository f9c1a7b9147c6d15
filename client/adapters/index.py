"""The index of the adapter store: one SQLite file beside the adapters' folders.

    with AdapterIndex(folder / "index.sqlite") as index:   # one transaction
        index.add(entry)
        index.use([entry.id])

It holds vectors, keys, sizes and uses, so that ten thousand adapters need not be opened one by one.
The folders are authoritative: they hold the same data except for the uses, and an index that cannot
be read is rebuilt from them. Whoever opens the index holds the store's lock. If a process is
killed, its last transaction is rolled back; only a power cut could corrupt the file, so writes do
not wait for the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from secrets import randbelow

import numpy as np
import numpy.typing as npt

from client.adapters.entry import Entry, Key
from client.policies import Usage

Numbers = npt.NDArray[np.int64]
_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, shelf TEXT NOT NULL,
    embedder TEXT NOT NULL, base TEXT NOT NULL, configuration TEXT NOT NULL,
    uses INTEGER NOT NULL, created REAL NOT NULL, last_used INTEGER NOT NULL,
    size INTEGER NOT NULL, seconds REAL NOT NULL, floor REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS by_shelf ON entries (shelf, number);
CREATE TABLE IF NOT EXISTS vectors (number INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
"""
_USAGE = "id, uses, created, last_used, size, seconds, floor"  # in the order of Usage's fields


class AdapterIndex:
    """Used as a context: an exception rolls all changes back."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        try:
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.executescript(_SCHEMA)
            self.is_new = self._pragma("user_version") != _FORMAT
            if self.is_new:
                self._begin_anew()
        except sqlite3.Error:
            self._db.close()
            raise

    def __enter__(self) -> AdapterIndex:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._db.commit()
        finally:
            self._db.close()

    @property
    def version(self) -> tuple[int, int]:
        """Changes whenever an entry is added or removed, or the file is rebuilt."""
        return self._pragma("application_id"), int(self.count("changes"))

    def numbers(self, shelf: str) -> Numbers:
        """Numbers of the shelf's entries, in the order in which they were added. An entry's number
        never changes."""
        rows = self._db.execute("SELECT number FROM entries WHERE shelf=? ORDER BY number", [shelf])
        return np.fromiter((number for (number,) in rows), np.int64)

    def vectors(self, shelf: str, above: int) -> tuple[Numbers, list[bytes]]:
        """Numbers and vectors of the shelf's entries whose number is greater than `above`."""
        asked = (
            "SELECT number, vector FROM entries JOIN vectors USING (number)"
            " WHERE shelf=? AND number>? ORDER BY number"
        )
        rows = self._db.execute(asked, [shelf, above]).fetchall()
        return np.array([number for number, _ in rows], np.int64), [vector for _, vector in rows]

    def usage(self, number: int) -> Usage:
        row = self._db.execute(f"SELECT {_USAGE} FROM entries WHERE number=?", [number])
        return Usage(*row.fetchone())

    def usages(self) -> list[Usage]:
        """Usage of all entries, oldest first."""
        rows = self._db.execute(f"SELECT {_USAGE} FROM entries ORDER BY created, id")
        return [Usage(*row) for row in rows]

    def entries(self) -> list[Entry]:
        """All entries, oldest first."""
        asked = (
            f"SELECT vector, embedder, base, configuration, {_USAGE}"
            " FROM entries JOIN vectors USING (number) ORDER BY created, id"
        )
        return [
            Entry(np.frombuffer(row[0], "<f4").astype(np.float32), Key(*row[1:4]), Usage(*row[4:]))
            for row in self._db.execute(asked)
        ]

    def ids(self) -> set[str]:
        return {entry_id for (entry_id,) in self._db.execute("SELECT id FROM entries")}

    def filled(self) -> tuple[int, int]:
        """The number of entries, and their bytes on disk."""
        (found,) = self._db.execute("SELECT COUNT(*), TOTAL(size) FROM entries")
        return int(found[0]), int(found[1])

    def add(self, entry: Entry) -> None:
        """Adds an entry. If there is one with the same id, it has been replaced, and keeps number
        and uses."""
        usage, floor, turn = entry.usage, self.count("floor"), self._next_turn()
        known = (usage.created, turn, usage.size, usage.seconds, floor)
        again = self._db.execute(
            "UPDATE entries SET created=?, last_used=?, size=?, seconds=?, floor=? WHERE id=?",
            [*known, entry.id],
        )
        if not again.rowcount:
            self._insert(entry, known)

    def _insert(self, entry: Entry, known: Sequence[float]) -> None:
        key = entry.key  # its fields are the columns embedder, base, configuration
        added = self._db.execute(
            "INSERT INTO entries (id, shelf, embedder, base, configuration, uses, created,"
            " last_used, size, seconds, floor) VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)",
            [entry.id, key.shelf(entry.vector.size), *astuple(key), *known],
        )
        content = entry.vector.astype("<f4").tobytes()
        self._db.execute("INSERT INTO vectors VALUES (?, ?)", [added.lastrowid, content])
        self.raise_count("changes")

    def remove(self, entry_ids: Iterable[str]) -> None:
        for entry_id in entry_ids:
            self._db.execute(
                "DELETE FROM vectors WHERE number IN (SELECT number FROM entries WHERE id=?)",
                [entry_id],
            )
            self._db.execute("DELETE FROM entries WHERE id=?", [entry_id])
        self.raise_count("changes")

    def use(self, entry_ids: Iterable[str]) -> None:
        floor, turn = self.count("floor"), self._next_turn()
        self._db.executemany(
            "UPDATE entries SET uses=uses+1, last_used=?, floor=? WHERE id=?",
            [(turn, floor, entry_id) for entry_id in entry_ids],
        )

    def count(self, name: str) -> float:
        row = self._db.execute("SELECT value FROM counts WHERE name=?", [name]).fetchone()
        return float(row[0]) if row else 0.0

    def raise_count(self, name: str, by: float = 1) -> None:
        self._db.execute(
            "INSERT INTO counts VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value=value+excluded.value",
            [name, by],
        )

    def set_floor(self, floor: float) -> None:
        self._db.execute("INSERT OR REPLACE INTO counts VALUES ('floor', ?)", [floor])

    def belong_to(self, strategy: str) -> None:
        """Resets floors that another strategy has set, since strategies measure worth
        differently."""
        found = self._db.execute("SELECT value FROM counts WHERE name='strategy'").fetchone()
        if found != (strategy,):
            self._db.execute("UPDATE entries SET floor=0")
            self._db.execute("INSERT OR REPLACE INTO counts VALUES ('strategy', ?)", [strategy])
            self.set_floor(0.0)

    def _next_turn(self) -> int:
        self.raise_count("turn")
        return int(self.count("turn"))

    def _begin_anew(self) -> None:
        for table in ("entries", "vectors", "counts"):
            self._db.execute(f"DELETE FROM {table}")
        self._db.execute(f"PRAGMA application_id={1 + randbelow(1 << 30)}")
        self._db.execute(f"PRAGMA user_version={_FORMAT}")

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])
