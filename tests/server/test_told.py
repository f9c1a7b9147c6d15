"""What operators are told: log lines, request ids, metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from server_process import Running, start, vector

from server.app import create_app
from server.server import ServerSettings


@pytest.fixture
def running(folder: Path) -> Iterator[Running]:
    server = start("--knowledge_base_path", folder, "--log_level", "info")
    yield server
    if server.process.poll() is None:
        server.stop()
        server.process.communicate()


def test_every_request_has_its_line_and_its_id(running: Running) -> None:
    with httpx.Client(base_url=running.url, trust_env=False) as http:
        asked = {"vectors": [vector(), vector()], "k": 3, "method": "sift"}
        own = http.post("/v1/search", json=asked, headers={"x-request-id": "mine-1"})
        other = http.get("/v1/nothing", headers={"x-request-id": "with a space"})
    assert own.headers["x-request-id"] == "mine-1"
    given = other.headers["x-request-id"]
    assert len(given) == 32 and given != "with a space"
    assert running.stop() == 0
    lines = [json.loads(line) for line in running.log().splitlines()]
    search, lost = [line for line in lines if line["message"] == "answered"]
    assert search["request_id"] == "mine-1" and search["status"] == 200 and search["ms"] > 0
    assert (search["vectors"], search["k"], search["selection"]) == (2, 3, "sift")
    assert search["knowledge_base"] == "kb" and search["path"] == "/v1/search"
    assert lost["request_id"] == given and lost["status"] == 404
    assert str(vector()[0])[:8] not in json.dumps(lines)


def test_what_is_measured_stands_in_the_metrics(running: Running) -> None:
    with httpx.Client(base_url=running.url, trust_env=False) as http:
        for _ in range(3):
            http.post("/v1/search", json={"vectors": [vector()], "k": 3})
        http.get("/v1/no-such-route")
        answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if line[0] != "#")
    assert lines['hone_requests_total{route="/v1/search",status="200"}'] == "3.0"
    assert lines['hone_requests_total{route="other",status="404"}'] == "1.0"
    for phase in ("read", "parse", "queue", "search", "answer"):
        assert lines[f'hone_phase_seconds_count{{phase="{phase}"}}'] == "3.0"
    assert lines["hone_batch_vectors_count"] == "3.0"
    (version,) = [line for line in lines if line.startswith("hone_knowledge_base_records")]
    assert 'embedder="arc"' in version and 'knowledge_base="kb"' in version
    assert lines[version] == "65.0"


def test_what_nobody_expected_is_told_with_its_id(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(ServerSettings(knowledge_base_path=folder))

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("nobody expected this")

    answer = _get(app, "/broken")
    about = answer.headers["x-request-id"]
    assert answer.status_code == 500 and answer.json() == {
        "error": f"the server failed; its log says why, under request id {about}"
    }
    assert "nobody expected this" in caplog.text


def _get(app: FastAPI, path: str) -> Any:
    import asyncio

    async def ask() -> Any:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.get(path)

    return asyncio.run(ask())
