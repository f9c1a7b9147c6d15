"""The store of a knowledge base that is kept in Milvus: a file of milvus-lite, or a cluster.

A collection has a row for each record: its vector, its texts, and the checksum against which both
stores check a record. Milvus compares vectors as they were written, so scores are those of an exact
search; which records it compares depends on the collection's index.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hone.errors import BadInput, Damaged, NotThere
from kb.exact_search import runs_of
from kb.index import Kind, lists_for
from kb.manifest import Manifest, MilvusPlace
from kb.milvus_connection import PATIENCE, connected, milvus_said
from kb.records import Record, checked_record
from kb.vector_file import Found, Rows, Vectors

URI = "HONE_MILVUS_URI"  # variable that says where the collection is now, if it was moved
TEXT = ("source", "kind", "prompt", "answer")
INDEXES = {"flat": "FLAT", "ivf": "IVF_FLAT", "hnsw": "HNSW"}
_AT_ONCE = 256  # rows fetched at a time
_MOST = 1 << 15  # the largest effort that Milvus allows


class MilvusStore:
    def __init__(self, manifest: Manifest, place: MilvusPlace) -> None:
        self.manifest, self._collection = manifest, place.collection
        self._uri = os.environ.get(URI, place.uri)
        if "://" not in self._uri and not Path(self._uri).exists():
            raise NotThere(
                f"the knowledge base is in {self._uri}, which is not there; say where it is with"
                f" the environment variable {URI}"
            )
        self._client = connected(self._uri)
        try:
            self._check_whole()
        except Exception:
            self.close()
            raise

    def nearest(self, queries: Vectors, k: int, sources: Sequence[str] | None) -> Found:
        """Uses the most effort where sources are named, or where the usual effort finds too few."""
        runs = runs_of(self.manifest.sources, sources)
        expected = min(k, sum(map(len, runs)))
        where = "" if sources is None else _among(runs)
        usual = () if where else (self.manifest.index.effort,)
        for effort in (*usual, _MOST):
            with milvus_said(self._uri):
                scores, rows = self._searched(queries, k, where, effort)
            if (rows[:, :expected] >= 0).all():
                break
        return scores, rows

    def vectors(self, rows: Rows) -> Vectors:
        unique, places = np.unique(rows, return_inverse=True)
        held = {row["id"]: row["vector"] for row in self._rows(unique.tolist(), ["vector"])}
        self._check_found(held, unique.tolist())
        return np.array([held[row] for row in unique.tolist()], dtype=np.float32)[places]

    def records(self, rows: Sequence[int]) -> list[Record]:
        wanted, held = sorted({int(row) for row in rows}), dict[int, Record]()
        for row in self._rows(wanted, [*TEXT, "checksum"]):
            columns = ["".join(row[name]) for name in TEXT]
            held[row["id"]] = checked_record(row["id"], columns, row["checksum"], self._where)
        self._check_found(held, wanted)
        return [held[int(row)] for row in rows]

    def close(self) -> None:
        self._client.close()

    @property
    def _where(self) -> str:
        return f"collection {self._collection} in {self._uri}"

    def _searched(self, queries: Vectors, k: int, where: str, effort: int) -> Found:
        return searched(
            self._client,
            self._collection,
            queries,
            k,
            where=where,
            parameters=search_parameters(
                self.manifest.index.kind, self.manifest.records, k, effort
            ),
        )

    def _rows(self, rows: list[int], fields: list[str]) -> Iterator[dict[str, Any]]:
        for start in range(0, len(rows), _AT_ONCE):
            with milvus_said(self._uri):
                yield from self._client.get(
                    self._collection,
                    rows[start : start + _AT_ONCE],
                    output_fields=["id", *fields],
                    timeout=PATIENCE,
                )

    def _check_whole(self) -> None:
        with milvus_said(self._uri):
            found = held_rows(self._client, self._collection)
        if found != self.manifest.records:
            raise Damaged(
                f"{self._where} has {found} records, {self.manifest.records} were written;"
                " rebuild the knowledge base"
            )
        with milvus_said(self._uri):
            self._client.load_collection(self._collection)

    def _check_found(self, held: dict[int, Any], wanted: list[int]) -> None:
        if len(held) < len(wanted):
            raise Damaged(f"{self._where} lacks records; rebuild the knowledge base")


def held_rows(client: Any, collection: str) -> int:
    """How many rows a collection has; 0 where there is no such collection."""
    if not client.has_collection(collection):
        return 0
    client.load_collection(collection)
    counted = client.query(
        collection, filter="", output_fields=["count(*)"], consistency_level="Strong"
    )
    return int(counted[0]["count(*)"])


def searched(
    client: Any,
    collection: str,
    queries: Vectors,
    k: int,
    *,
    where: str = "",
    parameters: dict[str, int],
) -> Found:
    """[queries, k] best first; rows are -1 where Milvus finds fewer."""
    answers = client.search(
        collection,
        data=list(queries),
        anns_field="vector",
        limit=k,
        filter=where,
        search_params={"metric_type": "IP", "params": parameters},
        timeout=PATIENCE,
    )
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    for i, hits in enumerate(answers):
        scores[i, : len(hits)] = [hit["distance"] for hit in hits]
        rows[i, : len(hits)] = [hit["id"] for hit in hits]
    return scores, rows


def search_parameters(kind: Kind, records: int, k: int, effort: int) -> dict[str, int]:
    """The effort of a search as Milvus's parameters, within its bounds."""
    if kind == "hnsw":
        return {"ef": min(max(effort, k), _MOST)}
    if kind == "ivf":
        return {"nprobe": min(effort, lists_for(records))}
    return {}


def index_parameters(kind: Kind, records: int) -> tuple[str, dict[str, int]]:
    """Milvus's name of the index, and its parameters."""
    if kind not in INDEXES:
        raise BadInput(f"--index {kind} is not for Milvus; choose one of {', '.join(INDEXES)}")
    more = {"ivf": {"nlist": lists_for(records)}, "hnsw": {"M": 32, "efConstruction": 200}}
    return INDEXES[kind], more.get(kind, {})


def _among(runs: Sequence[range]) -> str:
    """A filter of Milvus for the rows of these runs."""
    return " or ".join(f"(id >= {run.start} and id < {run.stop})" for run in runs)
