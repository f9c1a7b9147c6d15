"""Retrieval over HTTP: implements the Retriever protocol with a Hone server.

    HttpRetriever("http://127.0.0.1:8000", embedder.fingerprint).search(vectors, k=32)

The first search asks the server for its wire version and embedder and refuses it if either differs,
since neighbours found with another embedder's vectors would be noise. The check is repeated when an
answer comes from another version of the knowledge base. Recent results are cached.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, Unpack

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from client.answer_cache import AnswerCache, Key
from client.server_connection import RETRIES, ServerConnection
from hone.errors import BadInput, Unreachable
from kb.retriever import as_vectors, options_of
from kb.wire import (
    BINARY,
    MAX_HITS_IN_ANSWER,
    MAX_VECTORS,
    WIRE_VERSION,
    Asked,
    BinaryOptions,
    Hit,
    KnowledgeBaseInfo,
    SearchOptions,
)
from kb.wire import SearchResponse as Found

Vectors = npt.NDArray[np.float32]
Model = TypeVar("Model", bound=BaseModel)


class HttpRetriever:
    """A client of one knowledge base of one server. Close it when done, or use it as a context.

    Several threads may search with it at once."""

    def __init__(
        self,
        url: str,
        expected_fingerprint: str | None = None,
        *,
        knowledge_base: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
        retries: int = RETRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._server = ServerConnection(
            url, api_key=api_key, timeout=timeout, retries=retries, sleep=sleep
        )
        self._expected, self._name = expected_fingerprint, knowledge_base
        self._greeted: KnowledgeBaseInfo | None = None
        self._cache = AnswerCache()

    def __enter__(self) -> HttpRetriever:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.close()

    @property
    def retried(self) -> int:
        """Number of requests that were sent again."""
        return self._server.retried

    def info(self) -> KnowledgeBaseInfo:
        """The served knowledge base; raises Unreachable for another wire version or embedder."""
        named = {"knowledge_base": self._name} if self._name else {}
        content = self._server.ask("GET", "/v1/info", params=named)
        found = content.get("wire_version") if isinstance(content, dict) else None
        if found is None:
            raise self._server.stranger()
        if found != WIRE_VERSION:
            raise Unreachable(
                f"{self._server.url} speaks wire version {found}, this client {WIRE_VERSION};"
                " install the same version of Hone on both"
            )
        info = self._read(KnowledgeBaseInfo, content)
        self._check_embedder(info)
        self._greeted = info
        return info

    def search(
        self, vectors: npt.NDArray[np.float32], k: int, **asked: Unpack[Asked]
    ) -> list[list[Hit]]:
        if self._greeted is None:
            self.info()
        rows = as_vectors(vectors)
        options = self._spelled(options_of(k, asked), rows.shape[1])
        spelled = options.model_dump_json()
        keys: list[Key] = [(spelled, row.tobytes()) for row in rows]
        found = [self._cache.get(key) for key in keys]
        for part in _parts([i for i, hits in enumerate(found) if hits is None], k):
            version, answers = self._search_part(rows[part], options)
            for i, hits in zip(part, answers, strict=True):
                self._cache.put(version, keys[i], hits)
                found[i] = hits
        return [hits for hits in found if hits is not None]

    def _spelled(self, options: SearchOptions, dimension: int) -> BinaryOptions:
        own = {"knowledge_base": self._name, "dimension": dimension}
        try:
            return BinaryOptions.model_validate(dict(options) | own)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise BadInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

    def _search_part(self, rows: Vectors, options: BinaryOptions) -> tuple[str, list[list[Hit]]]:
        """The content hash of the knowledge base that answered, and its answers."""
        content = self._server.ask(
            "POST",
            "/v1/search",
            params=options.model_dump(exclude_none=True),
            content=np.ascontiguousarray(rows, dtype="<f4").tobytes(),
            headers={"content-type": BINARY},
        )
        found = self._read(Found, content)
        if len(found.hits) != len(rows):
            raise self._server.stranger()
        if self._greeted is not None and found.content_hash != self._greeted.content_hash:
            self.info()  # the knowledge base has changed: check its embedder
        return found.content_hash, found.hits

    def _check_embedder(self, info: KnowledgeBaseInfo) -> None:
        if self._expected not in (None, info.embedder_fingerprint):
            raise Unreachable(
                f"{self._server.url} was built with the embedder {info.embedder}"
                f" ({info.embedder_fingerprint}), this client's is {self._expected};"
                " use the same embedder, or rebuild the knowledge base"
            )

    def _read(self, model: type[Model], content: Any) -> Model:
        try:
            return model.model_validate(content)
        except ValidationError:
            raise self._server.stranger() from None


def _parts(wanted: Sequence[int], k: int) -> Iterator[list[int]]:
    """Splits vectors' indices into requests within the limits on vectors and hits."""
    at_once = min(MAX_VECTORS, max(1, MAX_HITS_IN_ANSWER // k))
    for start in range(0, len(wanted), at_once):
        yield list(wanted[start : start + at_once])
