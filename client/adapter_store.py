"""The local adapter manager: trained adapters on disk, found again by queries like their own.

    store = AdapterStore(folder, size=4, threshold=0.4)
    found = store.find(vector, key)          # the nearest entry trained under the same key
    store.put(vector, key, adapter, base_path="models/arc-base")

    <folder>/entries/<id>/   a PEFT folder each; its hone.json holds query vector and key
    <folder>/state.json      uses per entry, hits, misses, evictions
    <folder>/lock            held while anything is read or changed, by one process at a time

An entry appears and leaves by a rename, so a process killed at any moment leaves a store that
opens; what it left behind is swept away. Several processes may share a folder.
"""

from __future__ import annotations

import base64
import binascii
import errno
import fcntl
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from client.policies import Usage, open_policy
from hone.errors import BadInput, Damaged, HoneError, NotThere
from hone.files import read_json, short_hash, write_json
from models.multilora.peft_files import AdapterFiles, read_adapter, read_extra, write_adapter

Vector = npt.NDArray[np.float32]
_ENTRY = re.compile(r"[0-9a-f]{16}")
_LEFTOVER = re.compile(r"\.([0-9a-f]{16}|state\.json)\.(old-)?[0-9a-f]{8}")
_OWN = "store"  # the store's part of hone.json
_ROUNDING = 1e-6  # a query finds its own adapter at threshold 1


@dataclass(frozen=True)
class Key:
    """What two queries must share, beside being alike, to share an adapter."""

    embedder: str  # fingerprint
    base: str  # fingerprint
    configuration: str  # of the training


@dataclass(frozen=True)
class Entry:
    id: str
    vector: Vector
    key: Key
    created: float
    uses: int = 0


@dataclass(frozen=True)
class Found:
    entry_id: str
    similarity: float
    files: AdapterFiles


@dataclass
class Stats:
    """Since the store was made, by all processes that share it."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0


@dataclass
class _State:
    stats: Stats = field(default_factory=Stats)
    uses: dict[str, int] = field(default_factory=dict)


class AdapterStore:
    def __init__(
        self,
        folder: Path,
        *,
        size: int = 4,
        threshold: float = 0.4,
        strategy: str = "lfu",
        seed: int = 0,
    ) -> None:
        if size < 1:
            raise BadInput(f"an adapter store of size {size} keeps nothing; give at least 1")
        if not 0 <= threshold <= 1:
            raise BadInput(f"the adapter threshold is {threshold}; give a number from 0 to 1")
        self.folder, self.size, self.threshold = folder, size, threshold
        self.policy = open_policy(strategy, seed)
        self._known: dict[str, Entry] = {}  # what was read of entries that are still there
        try:
            self._entries_folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise BadInput(f"{folder} is a file; give a folder for the adapters") from None
        with self._locked():
            self._sweep()

    def find(self, vector: Vector, key: Key) -> Found | None:
        """The nearest entry under `key`, at least as similar as the threshold; counts its use."""
        with self._locked():
            found = self._nearest_readable(vector, key)
            state = self._read_state()
            if found is None:
                state.stats.misses += 1
            else:
                state.stats.hits += 1
                state.uses[found.entry_id] = state.uses.get(found.entry_id, 0) + 1
            with suppress(OSError):  # a full disk costs a count, not the answer
                self._write_state(state)
            return found

    def put(self, vector: Vector, key: Key, adapter: AdapterFiles, *, base_path: str) -> str:
        """Keep an adapter; a full store drops others. The same vector and key replace their own."""
        vector = np.ascontiguousarray(vector, dtype="<f4").ravel()
        if not np.isfinite(vector).all() or not vector.any():
            raise BadInput("the query's vector is zero or not finite; its adapter cannot be found")
        spelled = base64.b64encode(vector.tobytes()).decode()
        entry_id = short_hash(spelled, asdict(key))
        own = {_OWN: {"query_vector": spelled, **asdict(key), "created": time.time()}}
        with self._locked(), self._disk_full_named():
            self._sweep()
            self._write(entry_id, adapter, base_path, dict(adapter.extra) | own)
            self._make_room(keep=entry_id)
        return entry_id

    def entries(self) -> list[Entry]:
        """All entries, of any key, oldest first."""
        with self._locked():
            return self._read_entries()

    def evict(self, entry_id: str) -> None:
        with self._locked():
            if not _ENTRY.fullmatch(entry_id) or not self._path(entry_id).is_dir():
                raise NotThere(f"the adapter store {self.folder} has no entry {entry_id}")
            self._drop([entry_id])

    def stats(self) -> Stats:
        with self._locked():
            return self._read_state().stats

    @property
    def _entries_folder(self) -> Path:
        return self.folder / "entries"

    def _path(self, entry_id: str) -> Path:
        return self._entries_folder / entry_id

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone on the folder, among processes and threads; the kernel frees a dead one's lock."""
        with (self.folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _sweep(self) -> None:
        """What a killed process left: nobody else is writing while the lock is held."""
        for place in (self.folder, self._entries_folder):
            for path in place.iterdir():
                if _LEFTOVER.fullmatch(path.name):
                    _remove(path)

    def _nearest_readable(self, vector: Vector, key: Key) -> Found | None:
        ranked = sorted(
            ((_cosine(vector, entry.vector), entry) for entry in self._read_entries(key)),
            key=lambda pair: (-pair[0], pair[1].id),
        )
        for similarity, entry in ranked:
            if similarity < self.threshold - _ROUNDING:
                break
            try:
                return Found(entry.id, similarity, read_adapter(self._path(entry.id)))
            except HoneError as error:
                self._drop_damaged(entry.id, error)
        return None

    def _read_entries(self, key: Key | None = None) -> list[Entry]:
        uses = self._read_state().uses
        there = sorted(p.name for p in self._entries_folder.iterdir() if _ENTRY.fullmatch(p.name))
        self._known = {name: self._known[name] for name in there if name in self._known}
        for name in there:
            if name not in self._known:
                try:
                    self._known[name] = _entry(name, read_extra(self._path(name)))
                except HoneError as error:
                    self._drop_damaged(name, error)
        found = [e for e in self._known.values() if key is None or e.key == key]
        counted = [Entry(e.id, e.vector, e.key, e.created, uses.get(e.id, 0)) for e in found]
        return sorted(counted, key=lambda entry: (entry.created, entry.id))

    def _write(
        self, entry_id: str, adapter: AdapterFiles, base_path: str, extra: dict[str, Any]
    ) -> None:
        write_adapter(self._path(entry_id), replace(adapter, extra=extra), base_path)
        self._known.pop(entry_id, None)

    def _make_room(self, keep: str) -> None:
        """After the new entry stands, so that a put that fails has cost nobody's adapter."""
        others = [Usage(e.id, e.uses, e.created) for e in self._read_entries() if e.id != keep]
        turn = self._read_state().stats.evictions
        leaving: list[str] = []
        while len(others) >= self.size:
            leaving.append(self.policy.victim(others, turn + len(leaving)))
            others = [entry for entry in others if entry.entry_id != leaving[-1]]
        if leaving:
            self._drop(leaving)

    def _drop(self, entry_ids: list[str]) -> None:
        state = self._read_state()
        for entry_id in entry_ids:
            _remove(self._path(entry_id))
            self._known.pop(entry_id, None)
            state.uses.pop(entry_id, None)
        state.stats.evictions += len(entry_ids)
        with suppress(OSError):  # as in find
            self._write_state(state)

    def _drop_damaged(self, entry_id: str, reason: HoneError) -> None:
        print(f"note: a damaged adapter is dropped: {reason}", file=sys.stderr)
        self._drop([entry_id])

    def _read_state(self) -> _State:
        """Counts only: where they cannot be read they begin anew."""
        path = self.folder / "state.json"
        try:
            content = read_json(path)
            uses = {str(name): int(count) for name, count in content["uses"].items()}
            return _State(Stats(**{k: int(v) for k, v in content["stats"].items()}), uses)
        except NotThere:
            return _State()
        except (HoneError, AttributeError, KeyError, TypeError, ValueError):
            print(f"note: {path} cannot be read; its counts begin anew", file=sys.stderr)
            path.unlink(missing_ok=True)
            return _State()

    def _write_state(self, state: _State) -> None:
        write_json(self.folder / "state.json", asdict(state))

    @contextmanager
    def _disk_full_named(self) -> Iterator[None]:
        """A full disk, with the store's folder in the message: writing does not name its file."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(error.errno, error.strerror, str(self.folder)) from error
            raise


def _entry(entry_id: str, extra: dict[str, Any]) -> Entry:
    try:
        own = extra[_OWN]
        content = base64.b64decode(own["query_vector"], validate=True)
        vector = np.frombuffer(content, dtype="<f4").astype(np.float32)
        key = Key(*(str(own[name]) for name in ("embedder", "base", "configuration")))
        return Entry(entry_id, vector, key, float(own["created"]))
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise Damaged(f"the hone.json of entry {entry_id} lacks or spoils {error}") from None


def _cosine(one: Vector, other: Vector) -> float:
    """From -1 to 1; vectors of different sizes, or without a direction, are not alike at all."""
    if one.size != other.size:
        return -1.0
    a, b = one.ravel().astype(np.float64), other.astype(np.float64)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(a @ b / length, -1, 1)) if np.isfinite(length) and length > 0 else -1.0


def _remove(path: Path) -> None:
    """Out of sight at once, then from the disk."""
    if not path.name.startswith("."):
        aside = path.with_name(f".{path.name}.old-{uuid4().hex[:8]}")
        path.rename(aside)
        path = aside
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
