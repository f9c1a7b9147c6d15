"""HTTP and in-process retrieval are one: the same calls, the same hits, the same refusals."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn

from client.http_retriever import HttpRetriever
from hone.errors import BadInput, HoneError, Unreachable
from kb import build_kb
from kb.retriever import LocalRetriever
from kb.store import KnowledgeBase
from kb.wire import Retriever
from server.app import create_app
from server.server import ServerSettings
from server.serving import listening_socket, url_of


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    path = tmp_path_factory.mktemp("http") / "kb"
    words = ["--datasets", "generators:60", "generators:25:1", "--save_dir", str(path)]
    build_kb.main(words)
    opened = KnowledgeBase.open(path)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def local(base: KnowledgeBase) -> LocalRetriever:
    return LocalRetriever(base, "sift")


@pytest.fixture(scope="module")
def url(base: KnowledgeBase) -> Iterator[str]:
    app = create_app(ServerSettings(), KnowledgeBase.open(base.path))
    with listening_socket("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
        serving = threading.Thread(target=server.run, args=([listener],))
        serving.start()
        yield url_of(listener)
        server.should_exit = True
        serving.join()


@pytest.fixture
def remote(url: str, base: KnowledgeBase) -> Iterator[HttpRetriever]:
    with HttpRetriever(url, base.manifest.embedder_fingerprint) as retriever:
        yield retriever


def _queries(count: int, dimension: int = 128) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(3).normal(size=(count, dimension)).astype(np.float32)


def _outcome(retriever: Retriever, call: Callable[[Retriever], Any]) -> Any:
    """What it gives, scores without the last bits, which depend on how many are asked at once."""
    try:
        found = call(retriever)
    except HoneError as error:
        return type(error)
    if not isinstance(found, list):
        return found
    return [
        [hit.model_copy(update={"score": round(hit.score, 5)}) for hit in hits] for hits in found
    ]


CALLS: dict[str, Callable[[Retriever], Any]] = {
    "info": lambda r: r.info(),
    "own method": lambda r: r.search(_queries(3), 7),
    "neighbours": lambda r: r.search(_queries(3), 7, method="faiss"),
    "sift": lambda r: r.search(_queries(2), 33, method="sift"),
    "sift that ends early": lambda r: r.search(_queries(2), 33, method="sift", stop=0.01),
    "an impossible end": lambda r: r.search(_queries(2), 33, stop=1.0),
    "one source": lambda r: r.search(_queries(2), 9, method="faiss", sources=["generators:25:1"]),
    "both sources": lambda r: r.search(
        _queries(2), 9, sources=["generators:25:1", "generators:60"]
    ),
    "more than there is": lambda r: r.search(_queries(1), 1000, method="faiss"),
    "more vectors than one request takes": lambda r: r.search(_queries(300), 2, method="faiss"),
    "more hits than one answer takes": lambda r: r.search(_queries(60), 1000, method="faiss"),
    "another precision": lambda r: r.search(_queries(2).astype(np.float64), 3),
    "another dimension": lambda r: r.search(_queries(2, 64), 3),
    "one vector, not a list": lambda r: r.search(_queries(1)[0], 3),
    "no vector": lambda r: r.search(_queries(0), 3),
    "not finite": lambda r: r.search(_queries(1) * np.float32(np.inf), 3),
    "zero": lambda r: r.search(_queries(1) * 0, 3),
    "none asked for": lambda r: r.search(_queries(1), 0),
    "too many asked for": lambda r: r.search(_queries(1), 1001),
    "unknown source": lambda r: r.search(_queries(1), 1, sources=["nobody"]),
    "no source": lambda r: r.search(_queries(1), 1, sources=[]),
    "unknown method": lambda r: r.search(_queries(1), 1, method="magic"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", CALLS)
def test_parity(name: str, local: LocalRetriever, remote: HttpRetriever) -> None:
    here, there = _outcome(local, CALLS[name]), _outcome(remote, CALLS[name])
    assert here == there
    assert here is BadInput or (here and not isinstance(here, type))


def test_another_embedder_is_refused_before_anything_is_asked(url: str, local: Any) -> None:
    with HttpRetriever(url, "0123456789abcdef") as remote:
        with pytest.raises(Unreachable, match="0123456789abcdef") as caught:
            remote.search(_queries(1), 1)
        assert local.info().embedder_fingerprint in str(caught.value)


def test_a_server_that_is_down_is_named_with_the_way_to_start_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    waits: list[float] = []
    with (
        HttpRetriever(f"http://127.0.0.1:{port}", sleep=waits.append) as remote,
        pytest.raises(Unreachable) as caught,
    ):
        remote.info()
    said = str(caught.value)
    assert f"no server at http://127.0.0.1:{port}" in said
    assert f"python -m server --knowledge_base_path FOLDER --port {port}" in said
    # twice as long each time, give or take a half
    assert len(waits) == 3
    assert all(0.5 <= wait / (0.2 * 2**i) <= 1.5 for i, wait in enumerate(waits))


def test_addresses_that_are_none() -> None:
    for url in ("127.0.0.1:8000", "ftp://there", "http://", "http://a:b", "", "http://[::1"):
        with pytest.raises(BadInput, match="address"):
            HttpRetriever(url)


@contextmanager
def _answering(*answers: tuple[int, bytes]) -> Iterator[tuple[str, list[str]]]:
    """A server that is not ours: one answer a request, the last one ever after."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = answers[min(len(asked), len(answers) - 1)]
            asked.append(self.path)
            self.send_response(code)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        serving.join()


def _info(local: LocalRetriever, **change: object) -> bytes:
    return json.dumps({**json.loads(local.info().model_dump_json()), **change}).encode()


@pytest.mark.parametrize("code", [429, 503])
def test_a_busy_server_is_asked_again(local: LocalRetriever, code: int) -> None:
    busy = (code, b'{"error": "busy"}')
    with _answering(busy, busy, (200, _info(local))) as (url, asked):
        with HttpRetriever(url, sleep=lambda _: None) as remote:
            assert remote.info() == local.info()
        assert len(asked) == 3
    with _answering(busy) as (url, asked):
        with (
            HttpRetriever(url, sleep=lambda _: None) as remote,
            pytest.raises(Unreachable, match=f"answers {code}: busy"),
        ):
            remote.info()
        assert len(asked) == 4


@pytest.mark.parametrize(
    ("code", "body", "says"),
    [
        (500, b'{"error": "the server failed"}', "answers 500: the server failed"),
        (404, b"<html>", "does not answer like a Hone server"),
        (200, b"<html>", "does not answer like a Hone server"),
        (200, b'{"hello": 1}', "does not answer like a Hone server"),
        (200, b'{"wire_version": 1}', "does not answer like a Hone server"),
        (200, b'{"wire_version": 2}', "speaks wire version 2, this client 1"),
    ],
)
def test_other_servers_are_told_apart_and_not_asked_again(
    code: int, body: bytes, says: str
) -> None:
    with _answering((code, body)) as (url, asked):
        with (
            HttpRetriever(url, sleep=lambda _: None) as remote,
            pytest.raises(Unreachable, match=says),
        ):
            remote.info()
        assert len(asked) == 1


def test_an_answer_for_fewer_vectors_is_not_taken(local: LocalRetriever) -> None:
    short = {"method": "faiss", "content_hash": "", "hits": [[]]}
    with (
        _answering((200, _info(local)), (200, json.dumps(short).encode())) as (url, _),
        HttpRetriever(url) as remote,
        pytest.raises(Unreachable, match="does not answer like"),
    ):
        remote.search(_queries(2), 1)


def test_another_base_behind_the_same_address_is_noticed(local: LocalRetriever) -> None:
    info = local.info()
    found = json.dumps({"method": "faiss", "content_hash": "another", "hits": [[]]}).encode()
    same_embedder = (200, _info(local, content_hash="another"))
    with _answering((200, _info(local)), (200, found), same_embedder) as (url, asked):
        with HttpRetriever(url, info.embedder_fingerprint) as remote:
            assert remote.search(_queries(1), 1) == [[]]
        assert asked == ["/v1/info", "/v1/search", "/v1/info"]
    another_embedder = (200, _info(local, embedder_fingerprint="another"))
    with (
        _answering((200, _info(local)), (200, found), another_embedder) as (url, _),
        HttpRetriever(url, info.embedder_fingerprint) as remote,
        pytest.raises(Unreachable, match="use the same embedder"),
    ):
        remote.search(_queries(1), 1)


def test_a_server_that_never_answers_is_not_waited_for_forever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            HttpRetriever(url, timeout=0.3) as remote,
            pytest.raises(Unreachable, match="did not answer in time"),
        ):
            remote.info()


def test_a_base_path_is_kept(local: LocalRetriever, tmp_path: Path) -> None:
    with _answering((200, _info(local))) as (url, asked):
        with HttpRetriever(f"{url}/behind/a/proxy/") as remote:
            remote.info()
        assert asked == ["/behind/a/proxy/v1/info"]
