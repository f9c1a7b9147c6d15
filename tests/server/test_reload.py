"""Several knowledge bases by name, and what is rebuilt while it is served."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_process import Running, start, vector

from hone.errors import BadInput
from kb import build_kb
from server.knowledge_bases import KnowledgeBases, Place


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "maths"))


@pytest.fixture
def running(folder: Path, copied: Path) -> Iterator[Running]:
    server = start(
        *("--knowledge_base_path", copied, "--more_knowledge_bases", f"second={folder}"),
        *("--reload_seconds", 0.1, "--only_faiss"),
    )
    yield server
    if server.process.poll() is None:
        server.stop()
    server.process.communicate()


@pytest.fixture
def http(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=30, trust_env=False) as client:
        yield client


def rebuild(place: Path, count: int) -> None:
    words = ["--datasets", f"generators:{count}:5", "--save_dir", str(place), "--overwrite"]
    build_kb.main(words)


def until(true: Callable[[], Any]) -> Any:
    for _ in range(200):
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError("it never came true")


def records(http: httpx.Client) -> int:
    count: int = http.get("/v1/info").json()["records"]
    return count


def test_they_are_asked_by_name(http: httpx.Client) -> None:
    told = http.get("/v1/knowledge_bases").json()
    assert told["default"] == "maths" and list(told["knowledge_bases"]) == ["maths", "second"]
    for name in ("maths", "second"):
        answer = http.get("/v1/info", params={"knowledge_base": name})
        assert answer.json() == told["knowledge_bases"][name]
        asked = {"vectors": [vector()], "k": 2, "knowledge_base": name}
        assert len(http.post("/v1/search", json=asked).json()["hits"][0]) == 2
    unknown = http.get("/v1/info", params={"knowledge_base": "third"})
    assert unknown.status_code == 422
    assert unknown.json()["error"] == "no knowledge base 'third'; there are: maths, second"


def test_a_rebuilt_one_is_taken_up_and_no_request_is_lost(
    http: httpx.Client, running: Running, copied: Path
) -> None:
    """Every answer is of one version: its records are those of its content hash."""
    versions: dict[str, set[str]] = {}
    codes: list[int] = []
    done = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=running.url, timeout=30, trust_env=False) as own:
            while not done.is_set():
                answer = own.post("/v1/search", json={"vectors": [vector()], "k": 40})
                codes.append(answer.status_code)
                found = answer.json()
                prompts = json.dumps([hit["prompt"] for hit in found["hits"][0]])
                versions.setdefault(found["content_hash"], set()).add(prompts)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    for count in (50, 45):
        rebuild(copied, count)
        until(lambda count=count: records(http) == count)  # type: ignore[misc]
    done.set()
    for thread in asking:
        thread.join()
    assert set(codes) == {200} and len(versions) == 3
    assert all(len(answers) == 1 for answers in versions.values())
    metrics = http.get("/metrics").text
    assert 'hone_reloads_total{knowledge_base="maths",outcome="taken"} 2.0' in metrics
    assert metrics.count('hone_knowledge_base_records{content_hash="') == 2


def test_a_damaged_one_is_not_taken_up(
    http: httpx.Client, running: Running, copied: Path, tmp_path: Path
) -> None:
    before = http.get("/v1/info").json()
    rebuild(tmp_path / "broken", 30)
    with (tmp_path / "broken" / "vectors.npy").open("r+b") as file:
        file.write(b"?")
    shutil.rmtree(copied)
    (tmp_path / "broken").rename(copied)
    until(lambda: 'outcome="refused"} 1.0' in http.get("/metrics").text)
    assert http.get("/v1/info").json() == before
    assert http.post("/v1/search", json={"vectors": [vector()]}).status_code == 200
    rebuild(copied, 30)  # mended
    until(lambda: records(http) == 30)
    assert running.stop() == 0
    (line,) = [json.loads(line) for line in running.log().splitlines()]
    assert line["level"] == "warning" and "vectors.npy has changed" in line["message"]


def test_one_that_is_gone_is_served_on(http: httpx.Client, copied: Path) -> None:
    shutil.rmtree(copied)
    time.sleep(0.3)
    answer = http.post("/v1/search", json={"vectors": [vector()], "k": 40})
    assert answer.status_code == 200 and len(answer.json()["hits"][0]) == 40


@pytest.mark.parametrize("spelled", ["maths", "=maths", "a b=maths", "maths="])
def test_further_ones_need_a_name(spelled: str) -> None:
    with pytest.raises(BadInput, match="is not NAME=PATH"):
        Place.parse(spelled)


def test_two_of_one_name_are_refused(folder: Path) -> None:
    with pytest.raises(BadInput, match="two knowledge bases are named 'kb'"):
        KnowledgeBases([Place("kb", folder), Place.parse(f"kb={folder}")], "faiss")
