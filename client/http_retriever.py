"""Retrieval over HTTP: the Retriever protocol against a Hone server.

    HttpRetriever("http://127.0.0.1:8000", embedder.fingerprint).search(vectors, k=32)

Before the first search the server is asked who it is: another wire version or another embedder is
refused, since neighbours found by another embedder's vectors would be noise.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from hone.errors import BadInput, Unreachable
from kb.retriever import as_vectors, checked_count, checked_stop
from kb.wire import MAX_HITS_IN_ANSWER, WIRE_VERSION, Hit, KnowledgeBaseInfo, Method, SearchRequest
from kb.wire import SearchResponse as Found

Vectors = npt.NDArray[np.float32]
Model = TypeVar("Model", bound=BaseModel)

RETRIES = 3
_BUSY = (429, 503)
_WAIT = 0.2  # seconds before the first retry; doubled before each further one
_VECTORS_AT_ONCE = 256


class HttpRetriever:
    """A client of one server; `close` it when done, or use it as a context."""

    def __init__(
        self,
        url: str,
        expected_fingerprint: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = RETRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = _checked_url(url)
        self._expected, self._retries, self._sleep = expected_fingerprint, retries, sleep
        local = urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")
        self._http = httpx.Client(base_url=self.url, timeout=timeout, trust_env=not local)
        self._greeted: KnowledgeBaseInfo | None = None

    def __enter__(self) -> HttpRetriever:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def info(self) -> KnowledgeBaseInfo:
        """Who answers there, refused when it is not whom this client can ask."""
        content = self._json(self._ask("GET", "/v1/info"))
        found = content.get("wire_version") if isinstance(content, dict) else None
        if found is None:
            raise self._stranger()
        if found != WIRE_VERSION:
            raise Unreachable(
                f"{self.url} speaks wire version {found}, this client {WIRE_VERSION};"
                " bring both to the same Hone"
            )
        info = self._read(KnowledgeBaseInfo, content)
        self._check_embedder(info)
        self._greeted = info
        return info

    def search(
        self,
        vectors: npt.NDArray[np.float32],
        k: int,
        *,
        method: Method | None = None,
        sources: list[str] | None = None,
        stop: float = 0.0,
    ) -> list[list[Hit]]:
        if self._greeted is None:
            self.info()
        asked = {"k": k, "method": method, "sources": sources, "stop": checked_stop(stop)}
        found: list[list[Hit]] = []
        for part in _parts(vectors, k):
            found += self._search_part(asked | {"vectors": part})
        return found

    def _search_part(self, asked: dict[str, Any]) -> list[list[Hit]]:
        try:
            body = SearchRequest.model_validate(asked).model_dump_json()
        except ValidationError as error:
            raise BadInput(_first_fault(error)) from None
        answer = self._ask("POST", "/v1/search", body)
        found = self._read(Found, self._json(answer))
        if len(found.hits) != len(asked["vectors"]):
            raise self._stranger()
        if self._greeted is not None and found.content_hash != self._greeted.content_hash:
            self.info()  # another knowledge base is served by now: of the same embedder?
        return found.hits

    def _check_embedder(self, info: KnowledgeBaseInfo) -> None:
        if self._expected not in (None, info.embedder_fingerprint):
            raise Unreachable(
                f"{self.url} was built with the embedder {info.embedder}"
                f" ({info.embedder_fingerprint}), this client's is {self._expected};"
                " use the same embedder, or rebuild the knowledge base"
            )

    def _ask(self, verb: str, path: str, body: str | None = None) -> httpx.Response:
        """The answer, after a few tries where the server is down or busy."""
        for attempt in range(self._retries):
            try:
                answer = self._send(verb, path, body)
            except (httpx.ConnectTimeout, httpx.NetworkError, httpx.RemoteProtocolError):
                answer = None
            if answer is not None and answer.status_code not in _BUSY:
                return self._successful(answer)
            # longer each time, and not in step with other clients
            self._sleep(_WAIT * 2**attempt * random.uniform(0.5, 1.5))
        try:
            return self._successful(self._send(verb, path, body))
        except httpx.TransportError as error:
            raise self._down(error) from None

    def _send(self, verb: str, path: str, body: str | None) -> httpx.Response:
        try:
            return self._http.request(
                verb, path, content=body, headers={"content-type": "application/json"}
            )
        except (httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout):
            raise Unreachable(f"{self.url} did not answer in time; is it overloaded?") from None
        except (httpx.UnsupportedProtocol, httpx.ProxyError) as error:
            raise self._down(error) from None

    def _successful(self, answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            return answer
        said = self._json(answer)
        if not isinstance(said, dict) or "error" not in said:
            raise self._stranger()
        if answer.status_code in (413, 422):
            raise BadInput(f"{self.url}: {said['error']}")
        raise Unreachable(f"{self.url} answers {answer.status_code}: {said['error']}")

    def _json(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError:
            raise self._stranger() from None

    def _read(self, model: type[Model], content: Any) -> Model:
        try:
            return model.model_validate(content)
        except ValidationError:
            raise self._stranger() from None

    def _stranger(self) -> Unreachable:
        return Unreachable(f"{self.url} does not answer like a Hone server; check the address")

    def _down(self, error: Exception) -> Unreachable:
        port = urlsplit(self.url).port or 80
        return Unreachable(
            f"no server at {self.url} ({str(error) or type(error).__name__}); start one with"
            f" python -m server --knowledge_base_path FOLDER --port {port}"
        )


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        port_is_sound = parts.port is None or parts.port > 0  # raises where it is not a number
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and port_is_sound
    except ValueError:
        sound = False
    if not sound:
        raise BadInput(f"{url!r} is not a server's address; http://127.0.0.1:8000 is one")
    return url.rstrip("/")


def _parts(vectors: Vectors, k: int) -> Iterator[list[list[float]]]:
    rows = as_vectors(vectors)
    at_once = min(_VECTORS_AT_ONCE, max(1, MAX_HITS_IN_ANSWER // checked_count(k)))
    for start in range(0, len(rows), at_once):
        yield rows[start : start + at_once].tolist()


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
