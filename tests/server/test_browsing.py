"""What the page asks: records by their place, neighbours, the map, searches in words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import HTTPException
from kb_stores import build_in, rewrite_manifest

from hone.errors import BadInput
from kb.records import task_of
from kb.store import KnowledgeBase, Manifest
from models.arc_embedder import ArcEmbedder
from models.embedder import Query, Vectors
from server.app import create_app
from server.knowledge_bases import KnowledgeBases, Place
from server.query_embedder import MOST_WAITING, QueryEmbedder
from server.server import ServerSettings

SOURCES = ["generators:40", "generators:25:1"]


class Asking:
    """The app over a knowledge base, asked in its own process."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._app = create_app(ServerSettings(knowledge_base_path=folder, **settings))

    def get(self, path: str, **about: Any) -> httpx.Response:
        return self("GET", path, params=about)

    def post(self, path: str, body: Any) -> httpx.Response:
        return self("POST", path, json=body)

    def __call__(self, verb: str, path: str, **how: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with (
                self._app.router.lifespan_context(self._app),
                httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
            ):
                return await http.request(verb, path, **how)

        return asyncio.run(ask())


@pytest.fixture
def http(folder: Path) -> Asking:
    return Asking(folder)


@pytest.fixture(scope="module", params=["files", "milvus"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_in(request.param, tmp_path_factory.mktemp("kept") / "kb", SOURCES)


def ids(answer: httpx.Response) -> list[int]:
    return [record["id"] for record in answer.json()["records"]]


def test_records_are_leafed_through_by_their_place(http: Asking, folder: Path) -> None:
    answer = http.get("/v1/records", start=38, count=4)
    assert ids(answer) == [38, 39, 40, 41] and answer.json()["total"] == 65
    one = http.get("/v1/records", start=38, count=4, source=SOURCES[1])
    assert ids(one) == [] and one.json()["total"] == 25
    assert ids(http.get("/v1/records", start=23, count=4, source=SOURCES[1])) == [63, 64]
    assert ids(http.get("/v1/records", start=10**30)) == []
    base = KnowledgeBase.open(folder)
    assert answer.json()["records"][0] == {"id": 38, **vars(base.records([38])[0])}
    base.close()


@pytest.mark.parametrize(
    ("path", "about", "says"),
    [
        ("/v1/records", {"start": -1}, "query.start: Input should be greater than"),
        ("/v1/records", {"count": 101}, "query.count: Input should be less than"),
        ("/v1/records", {"start": "a"}, "query.start: Input should be a valid integer"),
        ("/v1/records", {"source": "nobody"}, "no source 'nobody'; there are: generators:40"),
        ("/v1/records", {"knowledge_base": "no"}, "no knowledge base 'no'; there are: kb"),
        ("/v1/neighbours", {}, "query.record: Field required"),
        ("/v1/neighbours", {"record": 65}, "no record 65; there are 65, numbered from 0"),
        ("/v1/neighbours", {"record": 10**30}, "there are 65, numbered from 0"),
        ("/v1/neighbours", {"record": -1}, "no record -1; there are 65, numbered from 0"),
        ("/v1/neighbours", {"record": "NaN"}, "query.record: Input should be a valid integer"),
        ("/v1/neighbours", {"record": 1, "k": 0}, "query.k: Input should be greater than"),
        ("/v1/neighbours", {"record": 1, "k": 10**9}, "query.k: Input should be less than"),
        ("/v1/neighbours", {"record": 1, "source": "nobody"}, "no source 'nobody'"),
        ("/v1/neighbours", {"record": 1, "knowledge_base": "no"}, "no knowledge base 'no'"),
        ("/v1/map", {"knowledge_base": "no"}, "no knowledge base 'no'; there are: kb"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    http: Asking, path: str, about: dict[str, Any], says: str
) -> None:
    answer = http.get(path, **about)
    assert answer.status_code == 422 and list(answer.json()) == ["error"]
    assert says in answer.json()["error"]


def test_neighbours_are_the_nearest_but_for_the_record(kept: Path) -> None:
    base = KnowledgeBase.open(kept)
    vectors = base.vectors(np.arange(65))
    base.close()
    http = Asking(kept)
    likeness = vectors[7] @ vectors.T
    likeness[7] = -np.inf
    (found,) = http.get("/v1/neighbours", record=7, k=5).json()["hits"]
    np.testing.assert_allclose(
        [hit["score"] for hit in found], np.sort(likeness)[::-1][:5], atol=1e-5
    )
    assert 7 not in [hit["id"] for hit in found]
    (others,) = http.get("/v1/neighbours", record=7, k=5, source=SOURCES[1]).json()["hits"]
    assert {hit["source"] for hit in others} == {SOURCES[1]} and len(others) == 5
    (every,) = http.get("/v1/neighbours", record=7, k=100).json()["hits"]
    assert len(every) == 64


def test_the_map_is_the_same_every_time_and_in_every_store(kept: Path, http: Asking) -> None:
    other = Asking(kept)
    first, again = other.get("/v1/map").json(), other.get("/v1/map").json()
    assert first == again == http.get("/v1/map").json()
    assert [point["record"] for point in first["points"]] == list(range(65))
    assert [point["source"] for point in first["points"]] == [0] * 40 + [1] * 25
    assert first["sources"] == SOURCES and 0 < first["shown"] < 1


def task_body(folder: Path, row: int) -> dict[str, Any]:
    base = KnowledgeBase.open(folder)
    body: dict[str, Any] = json.loads(base.records([row])[0].prompt)
    base.close()
    return body


def test_a_pasted_task_finds_itself(folder: Path) -> None:
    http = Asking(folder, embed_queries=True)
    answer = http.post("/v1/ask", {"task": task_body(folder, 9), "k": 3, "method": "faiss"})
    (found,) = answer.json()["hits"]
    assert found[0]["id"] == 9 and found[0]["score"] == pytest.approx(1) and len(found) == 3


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"text": "a text"}, "the knowledge base holds ARC tasks; ask with task"),
        ({}, "the knowledge base holds ARC tasks; ask with task"),
        ({"text": "x" * 20_001}, "text: String should have at most 20000 characters"),
        ({"task": {"train": []}}, 'task: a task is an object with "train" and "test"'),
        ({"task": []}, "task: Input should be an object"),
        ({"task": {"train": [], "test": []}, "k": 0}, "k: Input should be greater"),
        ({"task": {"train": [], "test": []}, "k": 10**9}, "k: Input should be less"),
        ({"task": {"train": [], "test": []}, "knowledge_base": "no"}, "no knowledge base 'no'"),
        ({"task": {"train": [], "test": []}, "sources": ["nobody"]}, "train is empty"),
        ({"task": {}, "vectors": [[1.0]]}, "vectors: Extra inputs are not permitted"),
        ({"task": {"train": [{"input": [[11]]}], "test": [{}]}}, 'train pair 0 has no "output"'),
    ],
)
def test_words_that_cannot_be_embedded_are_refused(
    folder: Path, body: dict[str, Any], says: str
) -> None:
    answer = Asking(folder, embed_queries=True).post("/v1/ask", body)
    assert answer.status_code == 422 and says in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"no JSON", "Invalid JSON"),
        (b"", "Invalid JSON"),
        (b"[" * 100_000, "recursion limit"),
        (b'{"task": ' + b'{"a": ' * 1000 + b"1" + b"}" * 1001, "recursion limit"),
        (b'{"task": {"train": [{"input": [[NaN]], "output": [[1]]}], "test": []}}', "nan"),
        (b'{"task": {"train": [{"input": [[1e400]], "output": [[1]]}], "test": []}}', "inf"),
        (b'{"text": "\xff"}', "unicode"),
    ],
)
def test_bytes_that_are_no_query_are_refused(folder: Path, body: bytes, says: str) -> None:
    answer = Asking(folder, embed_queries=True)("POST", "/v1/ask", content=body)
    assert answer.status_code == 422 and says in answer.json()["error"]


def test_a_single_record_is_shown_too(tmp_path: Path) -> None:
    http = Asking(build_in("files", tmp_path / "kb", ["generators:1"]))
    assert http.get("/v1/map").json()["points"] == [{"record": 0, "x": 0, "y": 0, "source": 0}]
    assert http.get("/v1/neighbours", record=0).json()["hits"] == [[]]
    assert ids(http.get("/v1/records")) == [0]


def test_tasks_are_not_endless(folder: Path) -> None:
    task = task_body(folder, 9)
    long = {**task, "train": task["train"] * 30}
    http = Asking(folder, embed_queries=True)
    answer = http.post("/v1/ask", {"task": long})
    assert answer.status_code == 422 and "pairs, the most is 40" in answer.json()["error"]
    large = http("POST", "/v1/ask", content=b" " * (1 << 20) + b" {}")
    assert large.status_code == 413


def test_a_base_of_texts_is_asked_with_text(texts: Path) -> None:
    answer = Asking(texts, embed_queries=True).post("/v1/ask", {"task": {}})
    assert answer.status_code == 422 and "holds texts; ask with text" in answer.json()["error"]


def test_nothing_is_embedded_unless_the_operator_allows_it(http: Asking) -> None:
    answer = http.post("/v1/ask", {"text": "a text"})
    assert answer.status_code == 403 and "--embed_queries" in answer.json()["error"]


def test_another_embedder_is_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    other = Path(shutil.copytree(folder, tmp_path / "kb"))
    rewrite_manifest(other, {"embedder_fingerprint": "another"})
    base = KnowledgeBase.open(other)
    with pytest.raises(BadInput, match="was built with another; build it anew"):
        QueryEmbedder().opened_for(base.manifest)
    base.close()


class Stuck:
    """An embedder that is busy for a moment."""

    name, kind, dimension, fingerprint = "arc", "arc", 128, "stuck"

    def embed(self, queries: list[Query], *, progress: bool = False) -> Vectors:
        import time

        time.sleep(0.02)
        return np.ones((len(queries), 128), dtype=np.float32)


def test_who_finds_too_many_waiting_is_told_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = QueryEmbedder()
    monkeypatch.setattr(embedder, "opened_for", lambda manifest: Stuck())

    async def ask(manifest: Manifest) -> list[Any]:
        asked = [embedder.vectors("a text", manifest) for _ in range(MOST_WAITING + 2)]
        return await asyncio.gather(*asked, return_exceptions=True)

    base = KnowledgeBase.open(folder)
    found = asyncio.run(ask(base.manifest))
    base.close()
    refused = [one for one in found if isinstance(one, HTTPException)]
    assert len(refused) == 2 and {one.status_code for one in refused} == {429}
    assert asyncio.run(embedder.vectors("a text", base.manifest)).shape == (1, 128)


def test_a_map_is_drawn_once_for_a_version(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from server import knowledge_bases

    drawn: list[int] = []
    plain = knowledge_bases.vector_map
    monkeypatch.setattr(
        knowledge_bases, "vector_map", lambda store: (drawn.append(1), plain(store))[1]
    )

    async def ask() -> None:
        bases = KnowledgeBases([Place("kb", folder)], "faiss")
        with bases.use(None) as served:
            await asyncio.gather(*(served.vector_map() for _ in range(5)))
        bases.close()

    asyncio.run(ask())
    assert drawn == [1]


def test_what_is_pasted_is_never_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="hone.server")
    http = Asking(folder, embed_queries=True)
    assert http.post("/v1/ask", {"task": task_body(folder, 3)}).status_code == 200
    assert http.post("/v1/ask", {"text": "a secret"}).status_code == 422
    told = [vars(line)["told"] for line in caplog.records if line.message == "answered"]
    assert "secret" not in json.dumps(told) and "train" not in json.dumps(told)
    assert told[0]["selection"] == "sift" and told[0]["vectors"] == 1 and len(told) == 2


@pytest.fixture
def pages(http: Asking) -> Iterator[dict[str, httpx.Response]]:
    yield {path: http.get(path) for path in ("/", "/page.js", "/page.css")}


def test_the_page_comes_from_here_alone(pages: dict[str, httpx.Response]) -> None:
    kinds = {"/": "text/html", "/page.js": "text/javascript", "/page.css": "text/css"}
    for path, answer in pages.items():
        assert answer.status_code == 200
        assert answer.headers["content-type"] == f"{kinds[path]}; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "{{" not in answer.text
        assert "http" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    assert 'data-embeds="no"' in pages["/"].text


def test_every_script_is_in_the_page_once(pages: dict[str, httpx.Response]) -> None:
    from server.page import PARTS, SCRIPTS

    assert {path.stem for path in PARTS.glob("*.js")} == set(SCRIPTS)
    script = pages["/page.js"].text
    assert all(script.count((PARTS / f"{name}.js").read_text()) == 1 for name in SCRIPTS)


def test_a_task_in_the_base_is_embedded_as_it_was(folder: Path) -> None:
    base = KnowledgeBase.open(folder)
    task = task_of(base.records([5])[0], "5")
    found = QueryEmbedder().opened_for(base.manifest).embed([task])
    np.testing.assert_allclose(found, ArcEmbedder().embed([task]))
    base.close()
