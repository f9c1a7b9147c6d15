"""With keys in the environment only who has one is answered."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx
import pytest

from hone.api_keys import ApiKeys
from hone.errors import BadInput
from server.admission import VARIABLE
from server.app import create_app
from server.server import ServerSettings

KEYS = ["first-of-two-long-keys", "second-of-two-long-keys"]
ASKED = (
    *("/v1/info", "/v1/knowledge_bases", "/v1/records", "/v1/neighbours?record=0", "/v1/map"),
    "/metrics",
)
OPEN = ("/healthz", "/readyz", "/", "/page.js", "/page.css")  # nothing of a knowledge base


@pytest.fixture
def with_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, " ".join(KEYS))


def codes(
    folder: Path, key: str | None, name: str = "localhost", host: str = "127.0.0.1"
) -> dict[str, int]:
    """What each route answers, asked by `name` where the server listens on `host`."""
    app = create_app(ServerSettings(knowledge_base_path=folder, embed_queries=True, host=host))
    headers = {} if key is None else {"authorization": f"Bearer {key}"}

    async def ask() -> dict[str, int]:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=transport, base_url=f"http://{name}", headers=headers
            ) as http,
        ):
            got = (*ASKED, *OPEN)
            found = {path: (await http.get(path)).status_code for path in got}
            vectors = {"vectors": [[1.0] * 128], "k": 1}
            found["/v1/search"] = (await http.post("/v1/search", json=vectors)).status_code
            task = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[1]]}]}
            found["/v1/ask"] = (await http.post("/v1/ask", json={"task": task})).status_code
            return found

    return asyncio.run(ask())


KEPT = (*ASKED, "/v1/search", "/v1/ask")


@pytest.mark.parametrize("key", [None, "", "first-of-two-long-key", "another", KEYS[0] + "x"])
def test_who_has_no_key_is_refused(with_keys: None, folder: Path, key: str | None) -> None:
    found = codes(folder, key)
    assert {found[path] for path in KEPT} == {401}
    assert {found[path] for path in OPEN} == {200}


@pytest.mark.parametrize("key", KEYS)
def test_each_key_opens(with_keys: None, folder: Path, key: str) -> None:
    assert set(codes(folder, key).values()) == {200}


def test_without_keys_anybody_may_ask(folder: Path) -> None:
    assert VARIABLE not in os.environ
    assert set(codes(folder, None).values()) == {200}


def test_a_page_that_was_made_to_lead_here_reads_nothing(folder: Path) -> None:
    found = codes(folder, None, "evil.example")
    assert {found[path] for path in KEPT} == {403}
    assert {found[path] for path in OPEN} == {200}
    for name in ("127.0.0.1:8000", "LOCALHOST:1", "[::1]"):
        assert set(codes(folder, None, name).values()) == {200}


def test_other_names_are_for_keys_and_networks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(codes(folder, None, "hone.example", host="0.0.0.0").values()) == {200}
    monkeypatch.setenv(VARIABLE, KEYS[0])
    assert set(codes(folder, KEYS[0], "hone.example").values()) == {200}


def test_a_key_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(BadInput, match=r"key 2 in HONE_API_KEYS has 5 characters") as caught:
        ApiKeys(VARIABLE, [KEYS[0], "short"])
    assert "short" not in str(caught.value)
