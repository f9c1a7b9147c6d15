"""What travels between a knowledge base and whoever asks it, and the one protocol for asking.

The same types serve in-process retrieval (kb/retriever.py) and HTTP (client/http_retriever.py).
Only vectors travel to a server, never the query itself.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypedDict, Unpack

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from kb.selection import LEAST_NOISE, MOST_NOISE, NOISE

WIRE_VERSION = 1
JSON, BINARY = "application/json", "application/octet-stream"  # what a search may be spelled in
MAX_VECTORS = 256  # of a request
MAX_HITS = 1000  # of a vector
MAX_HITS_IN_ANSWER = 4096  # over all vectors of a request
Method = Literal["faiss", "sift"]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hit(_Wire):
    """A record that was found. For ARC tasks `prompt` is the task's JSON without test outputs and
    `answer` the JSON list of those outputs."""

    id: int
    source: str
    kind: Literal["text", "arc"]
    prompt: str
    answer: str
    score: float = Field(description="cosine similarity to the query")
    multiplicity: int = Field(1, ge=1, description="how often SIFT picked it")


class KnowledgeBaseInfo(_Wire):
    wire_version: int = WIRE_VERSION
    hone_version: str
    embedder: str
    embedder_fingerprint: str
    dimension: int
    records: int
    sources: dict[str, int]
    content_hash: str
    methods: list[Method]


class SearchOptions(_Wire):
    """What is asked about each vector."""

    k: int = Field(32, ge=1, le=MAX_HITS, description="records a vector")
    method: Method | None = Field(None, description="the server's own choice where absent")
    sources: list[str] | None = Field(None, description="only records of these sources")
    stop: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="SIFT ends before a pick that takes away less than this share of uncertainty",
    )
    noise: float = Field(
        NOISE,
        ge=LEAST_NOISE,
        le=MOST_NOISE,
        description="for SIFT: small, picks differ; large, they are the nearest, some repeatedly",
    )
    knowledge_base: str | None = Field(None, description="by name; the server's first where absent")


class SearchRequest(SearchOptions):
    """Vectors and options as one JSON object."""

    vectors: list[list[float]] = Field(min_length=1, max_length=MAX_VECTORS)


class BinaryOptions(SearchOptions):
    """The query string of a request whose body is nothing but its vectors: little-endian float32,
    one vector behind the other."""

    # stated, so that two short vectors are never taken for a long one
    dimension: int = Field(ge=1, description="numbers a vector, where the body is binary")


class SearchResponse(_Wire):
    method: Method
    content_hash: str
    hits: list[list[Hit]] = Field(description="one list a vector, best first")


class KnowledgeBaseList(_Wire):
    """What a server holds, by name."""

    default: str = Field(description="the one that is asked where a request names none")
    knowledge_bases: dict[str, KnowledgeBaseInfo]


class Asked(TypedDict, total=False):
    """What may be asked beside k. SearchOptions says what each means, and what holds without it."""

    method: Method | None
    sources: list[str] | None
    stop: float
    noise: float


class Retriever(Protocol):
    def info(self) -> KnowledgeBaseInfo: ...

    def search(
        self, vectors: npt.NDArray[np.float32], k: int, **asked: Unpack[Asked]
    ) -> list[list[Hit]]:
        """For each vector its records, best first; fewer than k where there are no more, or where
        SIFT ends before."""
        ...

    def close(self) -> None: ...
