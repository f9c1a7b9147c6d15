"""The data exchanged between a knowledge base and its clients, and the protocol to search it.

The same types are used for retrieval in this process (kb/retriever.py) and over HTTP
(client/http_retriever.py). Only vectors are sent to a server, never the query itself.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypedDict, Unpack

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from kb.selection import LEAST_NOISE, MOST_NOISE, NOISE

WIRE_VERSION = 1
JSON, BINARY = "application/json", "application/octet-stream"  # content types of a search
MAX_VECTORS = 256  # most vectors of a request
MAX_HITS = 1000  # most hits for a vector
MAX_HITS_IN_ANSWER = 4096  # most hits of a request, over all its vectors
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
    multiplicity: int = Field(1, ge=1, description="number of times that SIFT picked it")


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
    """The options of a search."""

    k: int = Field(32, ge=1, le=MAX_HITS, description="number of records per vector")
    method: Method | None = Field(None, description="search method; null: the server's default")
    sources: list[str] | None = Field(
        None, description="sources whose records are searched; null: all"
    )
    stop: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="SIFT stops at a pick that removes less than this share of the uncertainty",
    )
    noise: float = Field(
        NOISE,
        ge=LEAST_NOISE,
        le=MOST_NOISE,
        description="noise that SIFT assumes: if small, picks differ from each other; if large,"
        " they are the nearest, some picked repeatedly",
    )
    knowledge_base: str | None = Field(
        None, description="name of the knowledge base; null: the server's first"
    )


class SearchRequest(SearchOptions):
    """Vectors and options as one JSON object."""

    vectors: list[list[float]] = Field(min_length=1, max_length=MAX_VECTORS)


class BinaryOptions(SearchOptions):
    """The query string of a request whose body holds only its vectors, as little-endian float32,
    one after the other."""

    # required, so that two short vectors are not read as one long vector
    dimension: int = Field(ge=1, description="numbers per vector of the binary body")


class SearchResponse(_Wire):
    method: Method
    content_hash: str
    hits: list[list[Hit]] = Field(description="one list per vector, best first")


class KnowledgeBaseList(_Wire):
    """The knowledge bases that a server serves, by name."""

    default: str = Field(description="the one that is searched if a request names none")
    knowledge_bases: dict[str, KnowledgeBaseInfo]


class Asked(TypedDict, total=False):
    """The options of a search beside k. SearchOptions says what each means, and its default."""

    method: Method | None
    sources: list[str] | None
    stop: float
    noise: float


class Retriever(Protocol):
    def info(self) -> KnowledgeBaseInfo: ...

    def search(
        self, vectors: npt.NDArray[np.float32], k: int, **asked: Unpack[Asked]
    ) -> list[list[Hit]]:
        """For each vector its hits, best first: k of them, or fewer if no more exist or SIFT
        stops."""
        ...

    def close(self) -> None: ...
