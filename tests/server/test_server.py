"""The service: a real command on a free port, its answers, its refusals, its end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from server_process import ROOT, Running, start, vector

from hone.listening import listening_socket
from kb.store import KnowledgeBase


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    server = start("--knowledge_base_path", folder, "--max_body_mb", 1)
    yield server
    server.stop()
    server.process.communicate()


@pytest.fixture
def http(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=30, trust_env=False) as client:
        yield client


def test_it_says_once_that_it_is_ready(running: Running, folder: Path) -> None:
    assert running.ready_line == f"serving {folder} (65 records, embedder arc) on {running.url}\n"


def test_info_and_health(http: httpx.Client, folder: Path) -> None:
    info = http.get("/v1/info").json()
    assert info["records"] == 65 and info["wire_version"] == 1 and info["embedder"] == "arc"
    with_manifest = json.loads((folder / "manifest.json").read_text())
    assert info["content_hash"] == with_manifest["content_hash"]
    assert http.get("/healthz").json() == {"status": "alive"}
    assert http.get("/readyz").json() == {"status": "ready"}


def test_sift_unless_told_otherwise(http: httpx.Client) -> None:
    asked = {"vectors": [vector(), vector()], "k": 9}
    own = http.post("/v1/search", json=asked).json()
    assert (
        own["method"] == "sift"
        and own == http.post("/v1/search", json={**asked, "method": "sift"}).json()
    )
    assert [sum(hit["multiplicity"] for hit in hits) for hits in own["hits"]] == [9, 9]
    near = http.post("/v1/search", json={**asked, "method": "faiss"}).json()
    assert near["method"] == "faiss" and [len(hits) for hits in near["hits"]] == [9, 9]


def test_only_faiss_is_the_default_then(folder: Path) -> None:
    server = start("--knowledge_base_path", folder, "--only_faiss")
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        asked = {"vectors": [vector()], "k": 5}
        assert http.post("/v1/search", json=asked).json()["method"] == "faiss"
        by_name = http.post("/v1/search", json={**asked, "method": "sift"}).json()
        assert by_name["method"] == "sift"
    assert server.stop() == 0 and server.log() == ""


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ({"vectors": [vector(dimension=64)]}, 422, "dimension 64, the knowledge base has 128"),
        ({"vectors": [[0.0] * 128]}, 422, "vector 0 is zero"),
        ({"vectors": [vector(), [1.0]]}, 422, "one length"),
        ({"vectors": []}, 422, "vectors: List should have at least 1 item"),
        ({"vectors": [["a"]]}, 422, "vectors.0.0: Input should be a valid number"),
        ({"vectors": [vector()], "k": 0}, 422, "k: Input should be greater"),
        ({"vectors": [vector()], "k": 1001}, 422, "k: Input should be less"),
        ({"vectors": [vector()], "k": 2.5}, 422, "k: Input should be a valid integer"),
        ({"vectors": [vector()], "method": "magic"}, 422, "method: Input should be 'faiss'"),
        ({"vectors": [vector()], "sources": ["nobody"]}, 422, "no source 'nobody'"),
        ({"vectors": [vector()], "sources": []}, 422, "empty"),
        ({"vectors": [vector()], "text": "secret"}, 422, "text: Extra inputs"),
        ({"vectors": [vector()], "k": 10**9}, 422, "k: Input should be less"),
        ({"vectors": [vector()], "knowledge_base": "no"}, 422, "no knowledge base 'no'; there are"),
        ({}, 422, "vectors: Field required"),
        ({"vectors": [vector()] * 9, "k": 456}, 422, "ask for 4104 records, the most is 4096"),
    ],
)
def test_bad_requests_get_one_sentence(http: httpx.Client, body: Any, code: int, says: str) -> None:
    answer = http.post("/v1/search", json=body)
    assert answer.status_code == code and list(answer.json()) == ["error"]
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b'{"vectors": [[NaN]]}']
)
def test_what_is_no_request_is_said_to_be_none(http: httpx.Client, content: bytes) -> None:
    answer = http.post("/v1/search", content=content)
    assert answer.status_code == 422 and answer.json()["error"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e300", "1e999"])
def test_numbers_that_are_not_finite_are_refused(http: httpx.Client, number: str) -> None:
    row = ", ".join([number] + ["0.5"] * 127)
    answer = http.post("/v1/search", content=f'{{"vectors": [[{row}]]}}')
    assert answer.status_code == 422 and "not finite" in answer.json()["error"]


def _binary(http: httpx.Client, content: bytes, **asked: object) -> httpx.Response:
    headers = {"content-type": "application/octet-stream"}
    return http.post("/v1/search", content=content, params=asked, headers=headers)


def test_float32_is_answered_as_json_is(http: httpx.Client) -> None:
    rows = np.array([vector(seed) for seed in range(3)], "<f4")
    asked = {"k": 4, "method": "faiss", "sources": ["generators:25:1", "generators:40"]}
    by_json = http.post("/v1/search", json={"vectors": rows.tolist(), **asked})
    answer = _binary(http, rows.tobytes(), dimension=128, **asked)
    assert answer.status_code == 200 and answer.json() == by_json.json()


@pytest.mark.parametrize(
    ("content", "asked", "says"),
    [
        (b"\0" * 512, {}, "dimension: Field required"),
        (b"", {"dimension": 128}, "0 bytes, 1 to 256 vectors of 128 float32 numbers"),
        (b"\0" * 513, {"dimension": 128}, "513 bytes"),
        (b"\0" * 512 * 257, {"dimension": 128, "k": 1}, "131584 bytes"),
        (b"\0" * 512, {"dimension": 64}, "dimension 64, the knowledge base has 128"),
        (b"\0" * 512, {"dimension": 128}, "vector 0 is zero"),
        (b"\0\0\xc0\x7f" * 128, {"dimension": 128}, "vector 0 is not finite"),
        (b"\0" * 512, {"dimension": 128, "k": 0}, "k: Input should be greater"),
        (b"\0" * 512, {"dimension": 10**30}, "512 bytes"),
        (b"\0" * 512, {"dimension": 128, "kk": 1}, "kk: Extra inputs"),
    ],
)
def test_bad_float32_gets_one_sentence(
    http: httpx.Client, content: bytes, asked: dict[str, object], says: str
) -> None:
    answer = _binary(http, content, **asked)
    assert answer.status_code == 422 and says in answer.json()["error"]


def test_a_query_string_beside_json_is_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/search?k=3", json={"vectors": [vector()]})
    assert answer.status_code == 422 and "query string" in answer.json()["error"]


def test_bodies_above_the_limit_are_refused(http: httpx.Client) -> None:
    large = b" " * ((1 << 20) + 1)
    for content in (large, iter([large[:1000], large])):  # with a stated length, and without
        answer = http.post("/v1/search", content=content)
        assert answer.status_code == 413 and "above 1 MiB" in answer.json()["error"]
    assert http.get("/healz").status_code == 404


def test_routes_that_are_not_there(http: httpx.Client) -> None:
    answer = http.get("/v1/nothing")
    assert answer.status_code == 404 and "no route /v1/nothing" in answer.json()["error"]
    answer = http.get("/v1/search")
    assert answer.status_code == 405 and "does not take GET" in answer.json()["error"]
    assert answer.headers["allow"] == "POST"


def test_health_is_answered_while_searches_run(http: httpx.Client, running: Running) -> None:
    asked = {"vectors": [vector()] * 10, "k": 400, "method": "sift"}
    searching = threading.Thread(
        target=lambda: httpx.post(f"{running.url}/v1/search", json=asked, timeout=60)
    )
    searching.start()
    seconds = [http.get("/healthz").elapsed.total_seconds() for _ in range(20)]
    searching.join()
    assert sorted(seconds)[10] < 1


def test_requests_under_way_are_finished_when_it_is_stopped(folder: Path) -> None:
    server = start("--knowledge_base_path", folder)
    body = json.dumps({"vectors": [vector()], "k": 5}).encode()
    head = f"POST /v1/search HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n"
    with server.connect() as asking:
        asking.sendall(head.encode() + b"expect: 100-continue\r\n\r\n")
        assert b"100 Continue" in asking.recv(1000)  # so the request is under way
        server.process.send_signal(signal.SIGTERM)
        _wait_until_refused(server.port)
        asking.sendall(body)
        answer = asking.makefile("rb").read()
    assert b"200 OK" in answer and b'"hits":[[{' in answer
    assert server.process.wait(20) == 0
    assert server.log() == ""


def _wait_until_refused(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError("still listening")


def test_answers_are_not_held_back_by_the_kernel() -> None:
    """asyncio switches that off for sockets that say that they speak TCP."""
    with listening_socket("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def _refused(*words: object) -> str:
    command = [sys.executable, "-m", "server", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    return done.stderr


def test_what_cannot_be_served_is_one_line(folder: Path, tmp_path: Path) -> None:
    assert "no knowledge base at nowhere; build one" in _refused(
        "--knowledge_base_path", "nowhere", "--port", 0
    )
    assert "has no manifest.json" in _refused("--knowledge_base_path", tmp_path, "--port", 0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = _refused("--knowledge_base_path", folder, "--port", port)
    assert f"port {port} on 127.0.0.1 is in use; choose another" in said
    assert "no address" in _refused("--host", "nowhere.invalid")


def test_a_damaged_base_is_not_served(folder: Path, tmp_path: Path) -> None:
    import shutil

    copied = Path(shutil.copytree(folder, tmp_path / "kb"))
    with (copied / "vectors.npy").open("r+b") as file:
        file.write(b"?")
    said = _refused("--knowledge_base_path", copied, "--port", 0)
    assert "vectors.npy has changed since it was written" in said


def test_the_app_opens_and_closes_the_base_itself(folder: Path) -> None:
    """As another server would run it."""
    import anyio

    from server.app import create_app
    from server.server import ServerSettings

    app = create_app(ServerSettings(knowledge_base_path=folder))

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            before = (await http.get("/readyz")).status_code
            async with app.router.lifespan_context(app):
                during = (await http.get("/readyz")).status_code
            return [before, during, (await http.get("/v1/info")).status_code]

    assert anyio.run(ask) == [503, 200, 503]
    KnowledgeBase.open(folder).close()
