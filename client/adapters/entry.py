"""An entry of the adapter store: the query vector and key of an adapter, and its usage.

    entry = new_entry(vector, key, seconds=12.5)
    entry.told()              # the store's part of hone.json in the adapter's folder
    read_entry(folder)        # the entry again; Damaged if the folder does not match its hone.json

The id is a hash of vector and key, so the same query trained in the same way has one entry.
"""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from client.policies import Usage
from hone.errors import BadInput, Damaged
from hone.files import short_hash

Vector = npt.NDArray[np.float32]
OWN = "store"  # name of the store's part in hone.json
SAMPLE = "sample"  # name in it of the sample on which the guard tests the adapter


@dataclass(frozen=True)
class Key:
    """What must be equal, beside similar vectors, for an adapter to serve another query."""

    embedder: str  # its fingerprint
    base: str  # its fingerprint
    configuration: str  # hash of everything else that shapes the training

    def shelf(self, dimension: int) -> str:
        """The name of the group of entries that can be compared, by key and dimension."""
        return short_hash(asdict(self), dimension)


@dataclass(frozen=True)
class Entry:
    vector: Vector
    key: Key
    usage: Usage

    @property
    def id(self) -> str:
        return self.usage.entry_id

    @property
    def uses(self) -> int:
        return self.usage.uses

    def told(self) -> dict[str, Any]:
        seconds = {"created": self.usage.created, "seconds": self.usage.seconds}
        return {"query_vector": _spelled(self.vector), **asdict(self.key), **seconds}


def new_entry(vector: Vector, key: Key, seconds: float) -> Entry:
    vector = np.ascontiguousarray(vector, dtype="<f4").ravel()
    if not np.isfinite(vector).all() or not vector.any():
        raise BadInput(
            "the query's vector is zero or not finite; check what the embedder was given"
        )
    return Entry(vector, key, Usage(_id(vector, key), 0, time.time(), seconds=seconds))


def read_entry(folder: Path) -> Entry:
    """Reads the entry from the folder's hone.json, without reading the weights."""
    from models.multilora.peft_files import read_extra

    return entry_of(folder, read_extra(folder))


def entry_of(folder: Path, extra: dict[str, Any]) -> Entry:
    """The entry that `extra`, the content of the folder's hone.json, describes."""
    try:
        own = extra[OWN]
        content = base64.b64decode(own["query_vector"], validate=True)
        vector = np.frombuffer(content, dtype="<f4").astype(np.float32)
        key = Key(*(str(own[name]) for name in ("embedder", "base", "configuration")))
        created, seconds = float(own["created"]), float(own.get("seconds", 0.0))
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise Damaged(
            f"the hone.json of entry {folder.name} lacks a usable value: {error}"
        ) from None
    if _id(vector, key) != folder.name:
        raise Damaged(f"entry {folder.name} holds the adapter of another query or base")
    size = sum(file.stat().st_size for file in folder.iterdir())
    return Entry(vector, key, Usage(folder.name, 0, created, size=size, seconds=seconds))


def unit(vector: Vector) -> Vector | None:
    """The vector scaled to length 1; None if it is zero or not finite."""
    wide = np.asarray(vector, dtype=np.float64).ravel()
    length = float(np.linalg.norm(wide))
    return (wide / length).astype(np.float32) if np.isfinite(length) and length > 0 else None


def _id(vector: Vector, key: Key) -> str:
    return short_hash(_spelled(vector), asdict(key))


def _spelled(vector: Vector) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
