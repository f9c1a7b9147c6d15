"""Clients that stall hold nobody up, and are not waited for without end."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from server_process import Running, start, vector

from hone.listening import listening_socket
from server import patience
from server.app import create_app
from server.patience import PatientProtocol
from server.server import ServerSettings

HEAD = b"POST /v1/search HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    server = start("--knowledge_base_path", folder, "--max_body_seconds", 1.5)
    yield server
    server.stop()
    server.process.communicate()


def test_others_are_answered_while_many_stall(running: Running) -> None:
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client(base_url=running.url))  # to make one is slow
        stalled = [stack.enter_context(running.connect()) for _ in range(100)]
        for one in stalled:
            one.sendall(HEAD % 1000 + b'{"vectors": [[')
        began = time.monotonic()
        asked = {"vectors": [vector()], "k": 3}
        for _ in range(5):
            assert http.post("/v1/search", json=asked).status_code == 200
        assert time.monotonic() - began < 1.5
        answer = stalled[0].makefile("rb").read()  # to its end: the server hangs up
        assert answer.startswith(b"HTTP/1.1 408 ") and b"did not arrive within 1.5 s" in answer


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """In this process, so that its patience can be cut."""
    app = create_app(ServerSettings(knowledge_base_path=folder))
    with listening_socket("127.0.0.1", 0) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # or the kernel holds it all
        config = uvicorn.Config(app, http=PatientProtocol, log_level="error", lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("begun", [b"", b"POST /v1/search HTT", HEAD[:-2] % 1000])
def test_a_head_that_never_ends_is_hung_up_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.3)
    with serving(folder) as port, socket.create_connection(("127.0.0.1", port), 20) as stalled:
        stalled.sendall(begun)
        assert hung_up(stalled)


def test_so_is_one_behind_an_answered_request(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(patience, "KEEP_ALIVE", 0.1)
    with serving(folder) as port, socket.create_connection(("127.0.0.1", port), 20) as stalled:
        stalled.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /heal")
        assert stalled.recv(1000).startswith(b"HTTP/1.1 200")
        assert hung_up(stalled)


def test_an_answer_that_nobody_reads_is_dropped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "READ_SECONDS", 0.3)
    body = json.dumps({"vectors": [vector()] * 62, "k": 65, "method": "faiss"}).encode()
    with serving(folder) as port, socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.settimeout(20)
        stalled.connect(("127.0.0.1", port))
        stalled.sendall(HEAD % len(body) + body)
        ended = 'hone_requests_total{route="/v1/search"'
        for _ in range(200):
            if ended in httpx.get(f"http://127.0.0.1:{port}/metrics").text:
                break
            time.sleep(0.05)
        time.sleep(1)  # it has been handed to the connection, which waits no longer than that
        assert not whole(stalled)


def hung_up(client: socket.socket) -> bool:
    """Whether the connection ends, within its time-out, once all that was answered is read."""
    try:
        while client.recv(1000):
            pass
    except (ConnectionResetError, TimeoutError) as error:
        return isinstance(error, ConnectionResetError)
    return True


def whole(client: socket.socket) -> bool:
    """Whether the answer comes to its end when it is read after all."""
    read = b""
    try:
        while part := client.recv(1 << 20):
            read += part
            if read.endswith(b"]]}"):
                return True
    except ConnectionResetError:
        pass
    return False
