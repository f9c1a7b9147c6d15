"""Indexes that look at a part of the vectors, for when looking at all of them takes too long.

    ivf    lists of similar vectors, of which a search reads a few; one byte for a number
    hnsw   a graph of neighbours; one byte for a number, and 256 bytes of edges for a record
    pq     the lists of ivf; one byte for four numbers

An index only names candidates, which are ranked by the vectors themselves, so scores are cosines as
in an exact search. The effort of a search is fixed when the index is built: the least that finds
`GOAL` of the nearest records. What it then finds is measured and written into the manifest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hone.errors import Damaged
from kb.exact_search import ExactSearch
from kb.faiss_scan import load_faiss
from kb.vector_file import Found, Rows, Scores, VectorFile, Vectors

Kind = Literal["flat", "ivf", "hnsw", "pq"]
Asked = Literal["auto", "flat", "ivf", "hnsw", "pq"]
Search = Callable[[Vectors, int, int], Scores]  # queries, k, effort -> [queries, k], best first

FLAT_UP_TO = 2_000_000  # records; beyond, an exact search for one query takes tenths of a second
LEAST = 10_000  # records; below, an exact search is as fast, and there is too little to learn from
RECALL_AT = 32  # nearest records that a search has to find
GOAL = 0.98  # share of them
_QUERIES = 256  # to measure that share with
_EFFORTS = tuple(2**i for i in range(3, 13))
_OVERSAMPLED = 4  # candidates for each record asked for
_AT_ONCE = 65536  # rows


@dataclass(frozen=True)
class IndexCard:
    """What the manifest says about an index."""

    kind: Kind
    asked: Asked
    effort: int  # lists that a search reads, or nodes that it keeps in view; 0 for flat
    recall: float  # share of the RECALL_AT nearest records that a search finds

    @classmethod
    def flat(cls, asked: Asked) -> IndexCard:
        return cls("flat", asked, 0, 1.0)

    def __str__(self) -> str:
        if self.kind != "flat":
            return (
                f"index {self.kind}, effort {self.effort}: finds {self.recall:.1%} of the"
                f" {RECALL_AT} nearest"
            )
        few = "" if self.asked in ("auto", "flat") else f"; too few records for {self.asked}"
        return f"index flat: exact{few}"


class Index:
    """An index, and the vectors that rank its candidates; safe to search from many threads."""

    def __init__(self, index: Any, kind: Kind, vectors: VectorFile) -> None:
        self._index, self._kind, self._vectors = index, kind, vectors

    @classmethod
    def open(cls, file: Path, kind: Kind, vectors: VectorFile) -> Index:
        try:
            index = load_faiss().read_index(str(file))
        except RuntimeError as error:
            line = str(error).splitlines()[0]
            raise Damaged(f"{file} is not an index: {line}; rebuild the knowledge base") from None
        if (index.ntotal, index.d) != vectors.shape:
            raise Damaged(f"{file} is of another knowledge base; rebuild it")
        return cls(index, kind, vectors)

    def nearest(self, queries: Vectors, k: int, effort: int) -> Found:
        """[queries, k] best first; rows are -1 where the index finds fewer."""
        count = min(k * _OVERSAMPLED, self._vectors.shape[0])
        _, candidates = self._index.search(queries, count, params=self._parameters(effort))
        found = [self._best(*pair, k) for pair in zip(queries, candidates, strict=True)]
        scores, rows = (np.stack(part) for part in zip(*found, strict=True))
        return scores, rows

    def _best(self, query: Vectors, candidates: Rows, k: int) -> Found:
        """The k nearest of the candidates, the last of which may be -1."""
        there = candidates[candidates >= 0]
        scores = np.full(len(candidates), -np.inf, dtype=np.float32)
        scores[: len(there)] = self._vectors.rows(there) @ query
        order = np.argsort(-scores, kind="stable")[:k]
        return scores[order], candidates[order]

    def _parameters(self, effort: int) -> Any:
        faiss = load_faiss()
        if self._kind == "hnsw":
            return faiss.SearchParametersHNSW(efSearch=effort)
        return faiss.SearchParametersIVF(nprobe=effort)


def chosen_kind(asked: Asked, records: int) -> Kind:
    """Flat for few records; else the kind that is asked for, which `auto` chooses by size."""
    if records < LEAST:
        return "flat"
    if asked == "auto":
        return "flat" if records <= FLAT_UP_TO else "ivf"
    return asked


def build_index(asked: Asked, vectors: VectorFile, file: Path) -> IndexCard:
    """Writes the index, unless it is flat, and returns its card."""
    kind = chosen_kind(asked, vectors.shape[0])
    if kind == "flat":
        return IndexCard.flat(asked)
    faiss = load_faiss()
    built = _filled(kind, vectors)
    index = Index(built, kind, vectors)
    effort, recall = least_effort(lambda queries, k, e: index.nearest(queries, k, e)[0], vectors)
    faiss.write_index(built, str(file))
    return IndexCard(kind, asked, effort, recall)


def least_effort(search: Search, vectors: VectorFile) -> tuple[int, float]:
    """The least effort that finds `GOAL` of the nearest, or else the least that finds the most, and
    the share that it finds. Queries are records, each without itself; of equally near records any
    one counts."""
    rows = _sample(vectors.shape[0], _QUERIES)
    queries, k = vectors.rows(rows), RECALL_AT + 1
    truth, _ = ExactSearch(vectors).nearest(vectors.runs(_AT_ONCE), queries, k)
    best = (0, 0.0)
    for effort in _EFFORTS:
        found = search(queries, k, effort)[:, 1:]
        recall = round(float(np.mean(found >= truth[:, -1:] - 1e-5)), 4)
        if recall > best[1]:
            best = (effort, recall)
        if recall >= GOAL:
            break
    return best


def lists_for(records: int) -> int:
    """How many lists the vectors are divided into; FAISS wants 39 for each list to learn from."""
    return max(min(int(4 * records**0.5), records // 39), 1)


def _filled(kind: Kind, vectors: VectorFile) -> Any:
    faiss = load_faiss()
    count, dimension = vectors.shape
    lists = lists_for(count)
    index = faiss.index_factory(
        dimension, _factory_words(kind, dimension, lists), faiss.METRIC_INNER_PRODUCT
    )
    index.train(vectors.rows(_sample(count, max(50 * lists, LEAST))))
    for run in vectors.runs(_AT_ONCE):
        index.add(np.ascontiguousarray(vectors.run(run)))
    return index


def _factory_words(kind: Kind, dimension: int, lists: int) -> str:
    """The description of the index for FAISS's factory."""
    if kind == "hnsw":
        return "HNSW32_SQ8"
    if kind == "ivf":
        return f"IVF{lists},SQ8"
    parts = max(m for m in range(1, max(dimension // 4, 1) + 1) if dimension % m == 0)
    return f"IVF{lists},PQ{parts}"


def _sample(count: int, size: int) -> Rows:
    """Random rows in ascending order, the same at every call."""
    drawn = np.random.default_rng(0).choice(count, min(size, count), replace=False)
    return np.sort(drawn).astype(np.int64)
