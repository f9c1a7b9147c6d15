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
from fastapi import FastAPI

from client.answer_cache import AnswerCache
from client.http_retriever import HttpRetriever
from hone.errors import BadInput, HoneError, Unreachable
from hone.listening import listening_socket, url_of
from kb import build_kb
from kb.retriever import LocalRetriever
from kb.store import KnowledgeBase
from kb.wire import Hit, Retriever
from server.app import create_app
from server.server import ServerSettings


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
    with _served(create_app(ServerSettings(knowledge_base_path=base.path))) as address:
        yield address


@contextmanager
def _served(app: FastAPI) -> Iterator[str]:
    with listening_socket("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
        serving = threading.Thread(target=server.run, args=([listener],))
        serving.start()
        try:
            yield url_of(listener)
        finally:
            server.should_exit = True
            serving.join()


@pytest.fixture
def remote(url: str, base: KnowledgeBase) -> Iterator[HttpRetriever]:
    with HttpRetriever(url, base.manifest.embedder_fingerprint) as retriever:
        yield retriever


def _queries(count: int, dimension: int = 128) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(3).normal(size=(count, dimension)).astype(np.float32)


def _outcome(retriever: Retriever, call: Callable[[Retriever], Any]) -> Any:
    try:
        return call(retriever)
    except HoneError as error:
        return type(error)


def _alike(here: Any, there: Any) -> bool:
    """Equal but for the last bits of scores, which depend on how many are asked at once, and so for
    the order of records that are equally near."""
    if not isinstance(here, list):
        return bool(here == there)
    return len(here) == len(there) and all(map(_same_hits, here, there))


def _same_hits(here: list[Hit], there: list[Hit]) -> bool:
    scores = [[hit.score for hit in hits] for hits in (here, there)]
    records = [
        {hit.id: hit.model_copy(update={"score": 0.0}) for hit in hits} for hits in (here, there)
    ]
    return scores[0] == pytest.approx(scores[1], abs=1e-5) and records[0] == records[1]


CALLS: dict[str, Callable[[Retriever], Any]] = {
    "info": lambda r: r.info(),
    "own method": lambda r: r.search(_queries(3), 7),
    "neighbours": lambda r: r.search(_queries(3), 7, method="faiss"),
    "sift": lambda r: r.search(_queries(2), 33, method="sift"),
    "sift that ends early": lambda r: r.search(_queries(2), 33, method="sift", stop=0.01),
    "sift that stays near": lambda r: r.search(_queries(2), 33, method="sift", noise=3.0),
    "impossible noise": lambda r: r.search(_queries(2), 33, noise=0.0),
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
    assert _alike(here, there)
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
    assert f"no server at http://127.0.0.1:{port} (" in said and "refused, 4 tries in 0." in said
    assert f"python -m server --knowledge_base_path FOLDER --port {port}" in said
    # twice as long each time, give or take a half
    assert len(waits) == 3
    assert all(0.5 <= wait / (0.2 * 2**i) <= 1.5 for i, wait in enumerate(waits))


def test_addresses_that_are_none() -> None:
    for url in ("127.0.0.1:8000", "ftp://there", "http://", "http://a:b", "", "http://[::1"):
        with pytest.raises(BadInput, match="address"):
            HttpRetriever(url)


@contextmanager
def _answering(*answers: tuple[int, bytes], **headers: str) -> Iterator[tuple[str, list[str]]]:
    """A server that is not ours: one answer a request, the last one ever after."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = answers[min(len(asked), len(answers) - 1)]
            asked.append(self.path.partition("?")[0])
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
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
            assert remote.retried == 2
        assert len(asked) == 3
    with _answering(busy) as (url, asked):
        with (
            HttpRetriever(url, sleep=lambda _: None) as remote,
            pytest.raises(Unreachable, match=rf"answers {code}: busy; gave up after 4 tries in \d"),
        ):
            remote.info()
        assert len(asked) == 4


def test_a_busy_server_says_for_how_long(local: LocalRetriever) -> None:
    waits: list[float] = []
    with (
        _answering((503, b"<html>later</html>"), **{"retry-after": "7"}) as (url, _),
        HttpRetriever(url, sleep=waits.append) as remote,
        pytest.raises(Unreachable, match="answers 503: Service Unavailable; gave up"),
    ):
        remote.info()
    assert len(waits) == 3 and all(7 <= wait <= 10.5 for wait in waits)


def test_a_broken_connection_is_asked_again(local: LocalRetriever) -> None:
    """As when the server is killed while it works."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as killed:
                killed.recv(100)
            with listener.accept()[0] as alive:
                alive.recv(10_000)
                body = _info(local)
                alive.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

        serving = threading.Thread(target=serve)
        serving.start()
        with HttpRetriever(f"http://127.0.0.1:{listener.getsockname()[1]}") as remote:
            assert remote.info() == local.info() and remote.retried == 1
        serving.join()


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


def test_what_was_just_asked_is_not_asked_again(local: LocalRetriever) -> None:
    info, content_hash = local.info(), local.info().content_hash
    hits = [[hit.model_dump() for hit in own] for own in local.search(_queries(2), 1)]

    def found(of: list[list[dict[str, Any]]], version: str = content_hash) -> tuple[int, bytes]:
        told = {"method": "sift", "content_hash": version, "hits": of}
        return 200, json.dumps(told).encode()

    rebuilt = (200, _info(local, content_hash="rebuilt"))
    told = ((200, _info(local)), found(hits), found(hits[:1]), found(hits[:1], "rebuilt"), rebuilt)
    with (
        _answering(*told, found(hits[1:], "rebuilt")) as (url, asked),
        HttpRetriever(url, info.embedder_fingerprint) as remote,
    ):
        both = remote.search(_queries(2), 1)
        assert remote.search(_queries(2)[::-1], 1) == both[::-1] and len(asked) == 2
        assert remote.search(_queries(2)[:1], 1, sources=["generators:60"]) and len(asked) == 3
        remote.search(_queries(3)[2:], 1)  # from the rebuilt one: the others are stale
        assert asked[3:] == ["/v1/search", "/v1/info"]
        assert remote.search(_queries(2)[1:], 1) and len(asked) == 6


def test_answers_are_kept_for_a_while_and_not_all_of_them(local: LocalRetriever) -> None:
    now = 0.0
    cache = AnswerCache(most=2, seconds=10, clock=lambda: now)
    hits = local.search(_queries(1), 2)[0]
    for name in ("a", "b", "c"):
        cache.put("v", (name, b""), hits)
    assert [cache.get((name, b"")) for name in ("a", "b", "c")] == [None, hits, hits]
    cache.get(("b", b""))
    cache.put("v", ("d", b""), hits)
    assert cache.get(("c", b"")) is None and cache.get(("b", b"")) == hits
    now = 10.5
    assert cache.get(("b", b"")) is None


def test_a_key_and_a_name_travel_along(
    base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = "a-long-secret-of-the-operator"
    monkeypatch.setenv("HONE_API_KEYS", key)
    more = (f"second={base.path}",)
    app = create_app(ServerSettings(knowledge_base_path=base.path, more_knowledge_bases=more))
    with _served(app) as url:
        with HttpRetriever(url, api_key=key, knowledge_base="second") as remote:
            assert len(remote.search(_queries(1), 3, method="faiss")[0]) == 3
        with (
            HttpRetriever(url, api_key=key, knowledge_base="third") as remote,
            pytest.raises(BadInput, match="no knowledge base 'third'; there are: kb, second"),
        ):
            remote.info()
        for wrong in (None, "another"):
            with (
                HttpRetriever(url, api_key=wrong) as remote,
                pytest.raises(BadInput, match="set it in HONE_API_KEY"),
            ):
                remote.info()
    with pytest.raises(BadInput, match="a header cannot contain"):
        HttpRetriever(url, api_key="with\nline")
