"""Searches a knowledge base that is opened in this process.

LocalRetriever(KnowledgeBase.open("knowledge_base")).search(vectors, k=32)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack, get_args

import numpy as np
import numpy.typing as npt

from hone.errors import BadInput
from kb.records import Record
from kb.selection import LEAST_NOISE, MOST_NOISE, candidates_for, counted, sift
from kb.store import Rows, Scores, Store, hone_version
from kb.wire import MAX_HITS, Asked, Hit, KnowledgeBaseInfo, Method, SearchOptions

Vectors = npt.NDArray[np.float32]
METHODS: tuple[Method, ...] = get_args(Method)
_Pick = tuple[int, float, int]  # row, score, multiplicity


@dataclass(frozen=True)
class Question:
    """A checked search, whose query vectors have length 1."""

    queries: Vectors
    k: int
    method: Method
    sources: list[str] | None
    stop: float
    noise: float
    reach: int  # how many nearest records are needed to answer


class LocalRetriever:
    """The Retriever protocol over a store; client/http_retriever.py implements it over HTTP.

    A search has three steps: `question`, the store's `nearest`, and `hits`. The server calls them
    separately, so that `nearest` is computed for many questions at once."""

    def __init__(self, store: Store, default_method: Method = "faiss") -> None:
        self.store, self.default_method = store, default_method

    def close(self) -> None:
        """Closes the knowledge base."""
        self.store.close()

    def info(self) -> KnowledgeBaseInfo:
        manifest = self.store.manifest
        return KnowledgeBaseInfo(
            hone_version=hone_version(),
            embedder=manifest.embedder,
            embedder_fingerprint=manifest.embedder_fingerprint,
            dimension=manifest.dimension,
            records=manifest.records,
            sources=dict(manifest.sources),
            content_hash=manifest.content_hash,
            methods=list(METHODS),
        )

    def search(
        self, vectors: npt.NDArray[np.float32], k: int, **asked: Unpack[Asked]
    ) -> list[list[Hit]]:
        question = self.question(vectors, options_of(k, asked))
        near = self.store.nearest(question.queries, question.reach, question.sources)
        return self.hits(question, *near)

    def question(self, vectors: npt.NDArray[np.float32], options: SearchOptions) -> Question:
        """The checked search; raises BadInput if this knowledge base cannot answer it."""
        queries = unit_rows(vectors, self.store.manifest.dimension)
        self.check_sources(options.sources)
        k, method = options.k, options.method or self.default_method
        wanted = candidates_for(k) if method == "sift" else k
        reach = min(wanted, self.store.manifest.records)
        return Question(queries, k, method, options.sources, options.stop, options.noise, reach)

    def hits(self, question: Question, scores: Scores, rows: Rows) -> list[list[Hit]]:
        """The hits for each query, chosen among its nearest records; `scores` and `rows` are
        [queries, reach]."""
        return [[Hit(**one) for one in found] for found in self.found(question, scores, rows)]

    def found(self, question: Question, scores: Scores, rows: Rows) -> list[list[dict[str, Any]]]:
        """As `hits`, but as dictionaries of a hit's fields, so that records from a store are not
        validated again."""
        picks = [
            self._picked(question, query, near[near >= 0], score)
            for query, near, score in zip(question.queries, rows, scores, strict=True)
        ]
        records = iter(self.store.records([row for one in picks for row, _, _ in one]))
        return [[_fields(pick, next(records)) for pick in one] for one in picks]

    def check_sources(self, sources: list[str] | None) -> None:
        known = self.store.manifest.sources
        _check_some(sources)
        for name in sources or ():
            if name not in known:
                raise BadInput(f"no source {name!r}; there are: {', '.join(known)}")

    def _picked(self, asked: Question, query: Vectors, near: Rows, scores: Scores) -> list[_Pick]:
        if asked.method == "sift" and len(near):
            candidates = self.store.vectors(near)
            picks = counted(sift(query, candidates, asked.k, asked.noise, asked.stop))
        else:
            picks = [(i, 1) for i in range(len(near))]
        return [(int(near[i]), float(scores[i]), times) for i, times in picks]


def as_vectors(vectors: Any) -> Vectors:
    """Queries as an array [count, dimension] of finite numbers; raises BadInput if they are not."""
    try:
        # numbers too large for float32 become infinite and are refused below
        with np.errstate(over="ignore"):
            rows = np.asarray(vectors, dtype=np.float32)
    except (ValueError, TypeError):
        raise BadInput("vectors are not all lists of numbers of one length") from None
    if rows.ndim != 2 or not len(rows):
        raise BadInput(f"vectors have shape {list(rows.shape)}, [count, dimension] was expected")
    if not np.isfinite(rows).all():
        raise BadInput(f"vector {int((~np.isfinite(rows)).any(1).argmax())} is not finite")
    return rows


def options_of(k: int, asked: Asked) -> SearchOptions:
    """All options with their defaults; raises BadInput for what no knowledge base can answer."""
    # not validated: the checks below have plainer messages
    options = SearchOptions.model_construct(k=k, **asked)
    stop, noise, method = options.stop, options.noise, options.method
    if not 1 <= k <= MAX_HITS:
        raise BadInput(f"k is {k}; give 1 to {MAX_HITS}")
    if not 0 <= stop < 1:
        raise BadInput(f"stop is {stop}; give a share of the uncertainty, from 0 to below 1")
    if not LEAST_NOISE <= noise <= MOST_NOISE:
        raise BadInput(f"noise is {noise}; give {LEAST_NOISE:g} to {MOST_NOISE:g}")
    if method is not None and method not in METHODS:
        raise BadInput(f"no method {method!r}; there are {' and '.join(METHODS)}")
    _check_some(options.sources)
    return options


def _check_some(sources: list[str] | None) -> None:
    if sources is not None and not sources:
        raise BadInput("the list of sources is empty; leave it out, or name some")


def unit_rows(vectors: Any, dimension: int) -> Vectors:
    """Queries as the index takes them: [count, dimension], each of length 1."""
    rows = as_vectors(vectors)
    if rows.shape[1] != dimension:
        raise BadInput(
            f"vectors have dimension {rows.shape[1]}, the knowledge base has {dimension};"
            " embed with its embedder"
        )
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    if not norms.all():
        raise BadInput(f"vector {int((norms == 0).argmax())} is zero; it has no direction")
    return np.ascontiguousarray(rows / norms, dtype=np.float32)


def _fields(pick: _Pick, record: Record) -> dict[str, Any]:
    row, score, multiplicity = pick
    return {
        "id": row,
        "source": record.source,
        "kind": record.kind,
        "prompt": record.prompt,
        "answer": record.answer,
        "score": score,
        "multiplicity": multiplicity,
    }
