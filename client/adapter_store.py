"""The local adapter manager: keeps trained adapters on disk and finds them for similar queries.

    store = AdapterStore(folder, size=4, threshold=0.4)
    found = store.find(vector, key)          # the nearest entry trained under the same key
    store.put(vector, key, adapter, base_path="models/arc-base")

    <folder>/entries/<id>/   one PEFT folder per entry; its hone.json holds query vector and key
    <folder>/index.sqlite    vectors, usage and counts of all entries
    <folder>/lock            locked by the process that reads or changes the folder

An entry appears and disappears by a rename, so the store opens even if a process was killed at any
moment; what such a process left behind is deleted then. Several processes may share a folder. What
happens when no entry reaches the threshold is decided in client/adapters/reuse.py.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from client.adapters.entry import (
    OWN,
    SAMPLE,
    Entry,
    Key,
    Vector,
    entry_of,
    new_entry,
    read_entry,
    unit,
)
from client.adapters.index import AdapterIndex
from client.adapters.memory import AdapterMemory, bytes_of
from client.adapters.shelf import ROUNDING, Shelf
from client.policies import Room, leaving, open_policy
from hone.errors import BadInput, Damaged, HoneError, NotThere
from models.multilora.peft_files import AdapterFiles, read_adapter, write_adapter

_ENTRY = re.compile(r"[0-9a-f]{16}")
_LEFTOVER = re.compile(r"\.[0-9a-f]{16}\.(old-)?[0-9a-f]{8}")


@dataclass(frozen=True)
class Match:
    """An entry that is similar to a query. Its adapter has not been read yet."""

    entry_id: str
    similarity: float
    created: float
    seconds: float  # time that its training took


@dataclass(frozen=True)
class Found:
    entry_id: str
    similarity: float
    files: AdapterFiles


@dataclass(frozen=True)
class Stats:
    """Counts since the store was created, over all processes that share it."""

    hits: int = 0
    merges: int = 0
    warm_starts: int = 0
    misses: int = 0
    refused: int = 0  # hits and merges that the guard rejected
    evictions: int = 0
    seconds_saved: float = 0.0


class AdapterStore:
    """`size` is the number of adapters to keep, `most_bytes` the bytes that they may take on disk
    (0: no limit), `memory` the bytes of recently used adapters that stay in memory. An adapter
    larger than `most_bytes` is not stored."""

    def __init__(
        self,
        folder: Path,
        *,
        size: int = 4,
        threshold: float = 0.4,
        strategy: str = "lfu",
        seed: int = 0,
        most_bytes: int = 0,
        memory: int = 0,
    ) -> None:
        if size < 1:
            raise BadInput(f"the adapter store's size is {size}; give at least 1")
        if not 0 <= threshold <= 1:
            raise BadInput(f"the adapter threshold is {threshold}; give a number from 0 to 1")
        self.folder, self.threshold, self.strategy = folder, threshold, strategy
        self.room = Room(size, most_bytes)
        self.policy = open_policy(strategy, seed)
        self._memory = AdapterMemory(memory)
        self._shelves: dict[str, Shelf] = {}
        try:
            self._entries_folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise BadInput(f"{folder} is a file; give a folder for the adapters") from None
        with self._locked() as index:
            self._sweep()
            self._reconcile(index)

    def find(self, vector: Vector, key: Key) -> Found | None:
        """The nearest entry with this key whose similarity reaches the threshold; None if there is
        none. Counts a hit or a miss."""
        while matches := self.nearest(vector, key):
            if (files := self.read(matches[0])) is not None:
                self.count("hits", matches, saved=matches[0].seconds)
                return Found(matches[0].entry_id, matches[0].similarity, files)
        self.count("misses", [])
        return None

    def nearest(
        self, vector: Vector, key: Key, *, most: int = 1, at_least: float | None = None
    ) -> list[Match]:
        """Up to `most` entries with this key whose similarity is at least `at_least` (default: the
        threshold), best first. Reads no adapter and counts nothing."""
        query = unit(vector)
        if query is None:
            return []
        name = key.shelf(query.size)
        with self._locked() as index:
            shelf = self._shelves.setdefault(name, Shelf(name, query.size))
            shelf.follow(index)
            near = shelf.nearest(query, most, self.threshold if at_least is None else at_least)
            known = [(index.usage(number), similarity) for number, similarity in near]
        return [Match(u.entry_id, like, u.created, u.seconds) for u, like in known]

    def is_hit(self, match: Match) -> bool:
        return match.similarity >= self.threshold - ROUNDING

    def read(self, match: Match) -> AdapterFiles | None:
        """The adapter, from memory or from disk. None if it was evicted meanwhile, or if it is
        damaged, in which case it is dropped."""
        version = match.entry_id, match.created
        if (held := self._memory.find(version)) is not None:
            return held
        with self._locked() as index:
            try:
                files = read_adapter(self._path(match.entry_id))
                entry_of(self._path(match.entry_id), files.extra)
            except HoneError as error:
                self._drop_damaged(index, match.entry_id, error)
                return None
        self._memory.hold(version, files)
        return files

    def count(self, decision: str, used: Sequence[Match], *, saved: float = 0.0) -> None:
        """Raises one of the counts in Stats, and the use counts of the entries in `used`. A full
        disk costs the count, not the answer."""
        with suppress(OSError, Damaged), self._locked() as index:
            index.raise_count(decision)
            if used:
                index.use([match.entry_id for match in used])
                index.raise_count("seconds_saved", saved)

    def put(
        self,
        vector: Vector,
        key: Key,
        adapter: AdapterFiles,
        *,
        base_path: str,
        sample: dict[str, Any] | None = None,
    ) -> str | None:
        """Stores an adapter, and the sample on which a guard may test it, and returns the entry's
        id; None if the adapter exceeds the byte limit. A full store evicts others. An entry with
        the same vector and key is replaced."""
        entry = new_entry(vector, key, float(adapter.extra.get("seconds", 0.0)))
        if not self.room.holds(1, bytes_of(adapter)):
            self._say_too_large(bytes_of(adapter))
            return None
        own = entry.told() | ({} if sample is None else {SAMPLE: sample})
        kept = replace(adapter, extra=dict(adapter.extra) | {OWN: own})
        with self._locked() as index:
            index.belong_to(self.strategy)
            write_adapter(self._path(entry.id), kept, base_path)
            written = entry_of(self._path(entry.id), kept.extra)
            self._make_room(index, written)
            index.add(written)
        self._memory.hold((entry.id, entry.usage.created), kept)
        return entry.id

    def entries(self) -> list[Entry]:
        """All entries, with any key, oldest first."""
        with self._locked() as index:
            return index.entries()

    def evict(self, entry_id: str) -> None:
        with self._locked() as index:
            if entry_id not in index.ids():
                raise NotThere(f"the adapter store {self.folder} has no entry {entry_id}")
            self._drop(index, [entry_id])

    def stats(self) -> Stats:
        with self._locked() as index:
            counted = {name: index.count(name) for name in asdict(Stats())}
        saved = counted.pop("seconds_saved")
        return Stats(**{name: int(n) for name, n in counted.items()}, seconds_saved=saved)

    @property
    def _entries_folder(self) -> Path:
        return self.folder / "entries"

    def _path(self, entry_id: str) -> Path:
        return self._entries_folder / entry_id

    @contextmanager
    def _locked(self) -> Iterator[AdapterIndex]:
        """Holds the folder's lock, against other processes and threads; the kernel releases it if
        the process dies. Errors of a full disk get the store's folder as file name, because neither
        writing nor SQLite names one."""
        with (self.folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                with self._opened() as index:
                    if index.is_new:
                        self._reconcile(index)
                    yield index
            except sqlite3.DatabaseError as error:
                raise self._spoken(error) from error
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise OSError(error.errno, error.strerror, str(self.folder)) from error
                raise

    def _opened(self) -> AdapterIndex:
        path = self.folder / "index.sqlite"
        try:
            return AdapterIndex(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            print(f"note: {path} cannot be read; its counts start again at zero", file=sys.stderr)
            path.unlink()
            return AdapterIndex(path)

    def _spoken(self, error: sqlite3.DatabaseError) -> Exception:
        path = self.folder / "index.sqlite"
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))
        return Damaged(f"{path}: {error}; remove it, and it is rebuilt from the adapters")

    def _sweep(self) -> None:
        """Deletes what killed processes left. The lock is held, so nobody else is writing."""
        for path in self._entries_folder.iterdir():
            if _LEFTOVER.fullmatch(path.name):
                _remove(path)

    def _reconcile(self, index: AdapterIndex) -> None:
        """Adds folders that the index lacks, and removes index rows without a folder: a killed
        process may have done one half of a change only."""
        there = {path for path in os.listdir(self._entries_folder) if _ENTRY.fullmatch(path)}
        known = index.ids()
        if gone := known - there:
            index.remove(gone)
        for entry_id in sorted(there - known):
            if (entry := self._readable(index, entry_id)) is not None:
                index.add(entry)

    def _readable(self, index: AdapterIndex, entry_id: str) -> Entry | None:
        try:
            return read_entry(self._path(entry_id))
        except HoneError as error:
            self._drop_damaged(index, entry_id, error)
            return None

    def _make_room(self, index: AdapterIndex, newcomer: Entry) -> None:
        """Evicts entries until the newcomer fits. This happens after its folder is written, so that
        a failed `put` costs no other adapter."""
        entries, size = index.filled()
        if self.room.holds(entries + 1, size + newcomer.usage.size):
            return
        others = [usage for usage in index.usages() if usage.entry_id != newcomer.id]
        turn = int(index.count("evictions"))
        gone = leaving(self.policy, others, newcomer.usage, self.room, turn)
        if gone and self.policy.ages:
            index.set_floor(self.policy.worth(gone[-1]))
        if gone:
            self._drop(index, [usage.entry_id for usage in gone])

    def _drop(self, index: AdapterIndex, entry_ids: list[str]) -> None:
        index.remove(entry_ids)
        index.raise_count("evictions", len(entry_ids))
        for entry_id in entry_ids:
            _remove(self._path(entry_id))

    def _drop_damaged(self, index: AdapterIndex, entry_id: str, reason: HoneError) -> None:
        if self._path(entry_id).exists():
            print(f"note: a damaged adapter is removed: {reason}", file=sys.stderr)
        self._drop(index, [entry_id])

    def _say_too_large(self, size: int) -> None:
        print(
            f"note: an adapter of {size / 1e6:.1f} MB is not kept:"
            f" {self.folder} may hold {self.room.size / 1e6:.1f} MB",
            file=sys.stderr,
        )


def _remove(path: Path) -> None:
    """Renames the path to a hidden name, which takes effect at once, then deletes it."""
    if not path.exists():
        return
    if not path.name.startswith("."):
        aside = path.with_name(f".{path.name}.old-{uuid4().hex[:8]}")
        path.rename(aside)
        path = aside
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
