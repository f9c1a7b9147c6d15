"""One at a time, a few in a line, no more; who hangs up frees the desk; nothing begun is lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from openai import OpenAI
from opened_door import asking, complete, opened, user
from test_training_flags import QUERY
from tiny_bases import RECORDS

from client.door.desk import Order
from client.door.orders import OrderMaker
from client.text_answerer import Answer
from hone.errors import Unreachable
from kb.retriever import LocalRetriever

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "a-key-of-sixteen-letters"


def test_many_at_once_are_answered_one_after_another(
    client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, work = [0, 0], Order.work

    def counted(self: Order) -> Any:
        under_way[0] += 1
        under_way[1] = max(under_way)
        answers = work(self)
        under_way[0] -= 1
        return answers

    monkeypatch.setattr(Order, "work", counted)

    def ask(record: dict[str, str]) -> str | None:
        messages = user(record["question"])
        found = client.chat.completions.create(model="chat", messages=messages)
        return found.choices[0].message.content

    with ThreadPoolExecutor(len(RECORDS)) as askers:
        answers = list(askers.map(ask, RECORDS))
    assert answers == [record["answer"] for record in RECORDS] and under_way == [0, 1]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Semaphore, threading.Event]]:
    """Orders wait at the desk: how many came there, and what lets them go."""
    came, go, work = threading.Semaphore(0), threading.Event(), Order.work

    def waiting(self: Order) -> Any:
        came.release()
        go.wait(20)
        return work(self)

    monkeypatch.setattr(Order, "work", waiting)
    yield came, go
    go.set()


def test_too_many_that_wait_are_told_to_come_back(
    chat_base: Path,
    text_kb: Path,
    tmp_path: Path,
    held: tuple[threading.Semaphore, threading.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    came, go = held
    entered, make = threading.Semaphore(0), OrderMaker.of_completion

    def counted(self: OrderMaker, request: Any) -> Order:
        entered.release()
        return make(self, request)

    monkeypatch.setattr(OrderMaker, "of_completion", counted)
    with (
        opened(chat_base, text_kb, tmp_path, most_waiting=1) as url,
        asking(url) as client,
        ThreadPoolExecutor(2) as askers,
    ):
        first = askers.submit(complete, client)
        assert came.acquire(timeout=20)
        second = askers.submit(complete, client)
        assert entered.acquire(timeout=20) and entered.acquire(timeout=20)
        with pytest.raises(openai.RateLimitError, match="1 requests are waiting already") as caught:
            complete(client)
        assert caught.value.response.headers["retry-after"] == "5"
        go.set()
        assert first.result().choices and second.result().choices


def once_there_is_room(client: OpenAI, seconds: float = 5.0) -> Any:
    """That somebody has gone is noticed a moment later."""
    until = time.monotonic() + seconds
    while True:
        try:
            return complete(client)
        except openai.RateLimitError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def test_who_hangs_up_while_waiting_makes_room(
    chat_base: Path,
    text_kb: Path,
    tmp_path: Path,
    held: tuple[threading.Semaphore, threading.Event],
) -> None:
    came, go = held
    with opened(chat_base, text_kb, tmp_path, most_waiting=1) as url, asking(url) as client:
        with ThreadPoolExecutor(1) as askers:
            first = askers.submit(complete, client)
            assert came.acquire(timeout=20)
            for _ in range(3):  # each takes the one place in the line, and leaves it
                with pytest.raises(openai.APITimeoutError):
                    once_there_is_room(client.with_options(timeout=0.3))
            go.set()
            assert first.result().choices
        assert not came.acquire(timeout=0.1)  # the others were never begun


@pytest.mark.parametrize("stream", [False, True])
def test_who_hangs_up_ends_the_training(
    chat_base: Path, text_kb: Path, tmp_path: Path, stream: bool
) -> None:
    with opened(chat_base, text_kb, tmp_path, num_epochs=1_000_000) as url:
        with asking(url, timeout=1) as client, pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(model="chat", messages=user(QUERY), stream=stream)
        with asking(url, timeout=20) as client:
            assert complete(client).choices


def test_who_hangs_up_in_the_middle_ends_the_writing(
    chat_base: Path, text_kb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak, said = Order._speak, []

    def slowly(self: Order, query: int, answer: int, piece: Any) -> None:
        said.append(piece)
        time.sleep(0.1)
        speak(self, query, answer, piece)

    monkeypatch.setattr(Order, "_speak", slowly)
    with opened(chat_base, text_kb, tmp_path) as url, asking(url) as client:
        asked: Any = {"model": "chat:base", "prompt": "the sky", "max_tokens": 50}
        with client.completions.create(**asked, stream=True) as stream:
            next(iter(stream))
        assert complete(client).choices
    assert len(said) < 25


def test_a_retrieval_server_that_is_down_is_said_and_may_come_back(
    client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(self: LocalRetriever, *args: Any, **more: Any) -> Any:
        raise Unreachable("no server at http://127.0.0.1:8000 (refused)")

    with monkeypatch.context() as patched:
        patched.setattr(LocalRetriever, "search", down)
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError, match="no server at http") as caught:
                client.chat.completions.create(model="chat", messages=user(QUERY), stream=stream)
            assert (caught.value.status_code, caught.value.type) == (503, "server_error")
    found = client.chat.completions.create(model="chat", messages=user(QUERY))
    assert found.choices[0].message.content == "blue"


def test_a_fault_of_ours_is_one_sentence_in_the_answer_and_all_of_it_in_the_log(
    client: OpenAI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Order) -> Any:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(Order, "work", broken)
    with pytest.raises(openai.InternalServerError, match="its log says why") as caught:
        complete(client)
    assert "secret" not in str(caught.value) and "a secret of the inside" in caplog.text


def test_what_was_begun_is_answered_before_the_door_closes(
    chat_base: Path,
    text_kb: Path,
    tmp_path: Path,
    held: tuple[threading.Semaphore, threading.Event],
) -> None:
    """One is being answered, one waits; nobody else comes in."""
    came, go = held
    with ThreadPoolExecutor(2) as askers:
        with opened(chat_base, text_kb, tmp_path) as url:
            client = asking(url)
            asked = [askers.submit(complete, client) for _ in range(2)]
            assert came.acquire(timeout=20)
            time.sleep(0.2)  # the other has come in, too
            threading.Timer(0.3, go.set).start()
        assert all(one.result().choices for one in asked)
        with client, pytest.raises(openai.APIConnectionError):
            client.models.list()


def test_the_command_opens_a_door_and_closes_it_when_it_is_told_to(
    chat_base: Path, one_shot: Callable[..., Answer], tmp_path: Path
) -> None:
    command = [sys.executable, str(ROOT / "client" / "client.py"), "--serve", "--port=0"]
    process = subprocess.Popen(
        [*command, "--threads=1", "--max_new_tokens=6", f"--model_path={chat_base}"],
        cwd=tmp_path,
        env={**os.environ, "HONE_DOOR_KEYS": KEY},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    ready = process.stdout.readline()
    found = re.fullmatch(r"answering as chat on (http://127\.0\.0\.1:\d+)/v1\n", ready)
    assert found, process.communicate()
    with asking(found[1], api_key=KEY) as client:
        answer = client.chat.completions.create(model="chat", messages=user(QUERY))
        assert answer.choices[0].message.content == one_shot(QUERY, adapt=False).text
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20) == ("", "") and process.returncode == 0
    assert len(list((tmp_path / "runs" / "client").iterdir())) == 1
