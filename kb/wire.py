"""What travels between a knowledge base and whoever asks it, and the one protocol for asking.

The same types serve in-process retrieval (kb/retriever.py) and HTTP (client/http_retriever.py).
Only vectors travel to a server, never the query itself.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

WIRE_VERSION = 1
MAX_HITS = 1000
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


class SearchRequest(_Wire):
    vectors: list[list[float]] = Field(min_length=1, max_length=256)
    k: int = Field(32, ge=1, le=MAX_HITS)
    method: Method | None = Field(None, description="the server's own choice where absent")
    sources: list[str] | None = Field(None, description="only records of these sources")
    stop: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="SIFT ends before a pick that takes away less than this share of uncertainty",
    )


class SearchResponse(_Wire):
    method: Method
    content_hash: str
    hits: list[list[Hit]] = Field(description="one list a vector, best first")


class Retriever(Protocol):
    def info(self) -> KnowledgeBaseInfo: ...

    def search(
        self,
        vectors: npt.NDArray[np.float32],
        k: int,
        *,
        method: Method | None = None,
        sources: list[str] | None = None,
        stop: float = 0.0,
    ) -> list[list[Hit]]: ...

    def close(self) -> None: ...
