"""What the door does not answer is refused in OpenAI's shape, by name and with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import torch
from openai import OpenAI
from opened_door import CHAT, TEXT, asking, complete, opened, user

from client.client import main
from hone.listening import listening_socket

torch.set_num_threads(1)
KEY = "a-key-of-sixteen-letters"


@pytest.mark.parametrize(
    ("route", "body", "status", "param", "code", "says"),
    [
        ("chat/completions", {"model": "chat"}, 400, "messages", None, "Field required"),
        ("chat/completions", {**CHAT, "messages": []}, 400, "messages", None, "at least 1 item"),
        ("chat/completions", {**CHAT, "model": "x"}, 404, "model", "model_not_found", "chat:base"),
        ("chat/completions", {**CHAT, "n": 2}, 400, "n", None, "temperature of 0"),
        ("chat/completions", {**CHAT, "n": "2"}, 400, "n", None, "valid integer"),
        ("chat/completions", {**CHAT, "temperature": 3}, 400, "temperature", None, "less than"),
        ("chat/completions", {**CHAT, "top_p": 0}, 400, "top_p", None, "greater than 0"),
        ("chat/completions", {**CHAT, "stop": [""]}, 400, "stop", None, "at least 1 character"),
        ("chat/completions", {**CHAT, "stop": list("abcde")}, 400, "stop", None, "at most 4"),
        ("chat/completions", {**CHAT, "max_tokens": 0}, 400, "max_tokens", None, "or equal to 1"),
        (
            "chat/completions",
            {**CHAT, "magic": 1},
            400,
            "magic",
            None,
            "the field magic is not supported",
        ),
        (
            "chat/completions",
            {**CHAT, "tools": [{}]},
            400,
            "tools",
            "unsupported_parameter",
            "tools is [{}], which is not supported",
        ),
        (
            "chat/completions",
            {**CHAT, "messages": [{"role": "assistant", "content": "x"}]},
            400,
            "messages",
            None,
            "the last message is empty or not the user's",
        ),
        (
            "chat/completions",
            {**CHAT, "messages": user("sky " * 40)},
            400,
            None,
            "context_length_exceeded",
            "tokens, the base reads 64",
        ),
        ("completions", {**TEXT, "prompt": " "}, 400, "prompt", None, "a prompt is empty"),
        ("completions", {**TEXT, "prompt": [1, 2]}, 400, "prompt", None, "valid string"),
        ("completions", {**TEXT, "echo": True}, 400, "echo", "unsupported_parameter", "echo is tr"),
        ("completions", {**TEXT, "logprobs": 6}, 400, "logprobs", None, "less than or equal to 5"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_openais_shape(
    url: str, route: str, body: Any, status: int, param: str | None, code: str | None, says: str
) -> None:
    answer = httpx.post(f"{url}/v1/{route}", json=body, trust_env=False)
    error = answer.json()["error"]
    assert (answer.status_code, list(answer.json())) == (status, ["error"]), error
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert error["param"] == param and says in error["message"]


def test_fields_that_change_nothing_are_taken(client: OpenAI) -> None:
    found: Any = client.chat.completions.create(
        **CHAT,
        user="someone",
        presence_penalty=0,
        frequency_penalty=0,
        logit_bias={},
        response_format={"type": "text"},
        max_completion_tokens=1,
    )
    assert found.usage is not None and found.usage.completion_tokens == 1


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"content": b"{"}, 400, "the request body is not JSON"),
        ({"content": b"[]"}, 400, "is not a JSON object"),
        ({"content": b"[" * 100_000}, 400, "is not JSON"),
        ({"content": b"\xff"}, 400, "is not JSON"),
        ({"content": b" " * (9 << 20)}, 413, "larger than 8 MiB"),
        ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 415, "application/json"),
    ],
)
def test_what_is_no_request_is_said_to_be_none(url: str, more: Any, status: int, says: str) -> None:
    asked = {"headers": {"content-type": "application/json"}, **more}
    answer = httpx.post(f"{url}/v1/completions", trust_env=False, **asked)
    assert answer.status_code == status and says in answer.json()["error"]["message"]


def test_routes_that_are_not_there(url: str) -> None:
    for verb, path, status in (("GET", "/v1/embeddings", 404), ("GET", "/v1/completions", 405)):
        answer = httpx.request(verb, url + path, trust_env=False)
        assert answer.status_code == status
        assert "docs/door.md" in answer.json()["error"]["message"]
    assert httpx.get(f"{url}/healthz", trust_env=False).json() == {"status": "alive"}


def test_a_key_opens(chat_base: Path, text_kb: Path, tmp_path: Path) -> None:
    with opened(chat_base, text_kb, tmp_path, keys=(KEY,)) as url:
        for wrong in ("none", KEY[:-1], f"{KEY}x"):
            with asking(url, api_key=wrong) as client:
                with pytest.raises(
                    openai.AuthenticationError, match="a valid key is needed"
                ) as caught:
                    client.models.list()
                assert caught.value.code == "invalid_api_key"
                with pytest.raises(openai.AuthenticationError):
                    complete(client)
        with asking(url, api_key=KEY) as client:
            assert [model.id for model in client.models.list()] == ["chat", "chat:base"]
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("name", "status"),
    [
        *(("localhost:8001", 200), ("LOCALHOST", 200), ("127.0.0.1:80", 200), ("[::1]:8001", 200)),
        *(("evil.example", 403), ("evil.example:8001", 403), ("localhost.evil.example", 403)),
        *(("127.0.0.1.evil.example:1", 403), ("192.168.0.7:8001", 403), ("", 403)),
    ],
)
def test_a_page_whose_name_was_made_to_lead_here_is_not_answered(
    url: str, name: str, status: int
) -> None:
    """DNS rebinding: the name stays the page's, which is all that tells."""
    own: dict[str, Any] = {"headers": {"host": name}, "trust_env": False}
    asked = httpx.get(f"{url}/v1/models", **own)
    assert asked.status_code == status
    for route, body in (("chat/completions", CHAT), ("completions", TEXT)):
        answer = httpx.post(f"{url}/v1/{route}", json={**body, "max_tokens": 0}, **own)
        assert answer.status_code == (403 if status == 403 else 400)
    if status == 403:
        said = asked.json()["error"]["message"]
        assert repr(name) in said and "start it with HONE_DOOR_KEYS" in said


def test_with_keys_or_beyond_this_machine_the_door_may_go_by_any_name(
    chat_base: Path, text_kb: Path, tmp_path: Path
) -> None:
    own: dict[str, Any] = {"headers": {"host": "hone.example"}, "trust_env": False}
    with opened(chat_base, text_kb, tmp_path, keys=(KEY,)) as url:
        own["headers"]["authorization"] = f"Bearer {KEY}"
        assert httpx.get(f"{url}/v1/models", **own).status_code == 200
    with opened(chat_base, text_kb, tmp_path, host="0.0.0.0") as url:
        assert httpx.get(f"{url}/v1/models", **own).status_code == 200


def test_a_page_of_another_origin_is_given_no_leave(url: str) -> None:
    origin = {"origin": "https://evil.example"}
    asking_leave = {**origin, "access-control-request-method": "POST"}
    before = httpx.options(f"{url}/v1/completions", headers=asking_leave, trust_env=False)
    read = httpx.get(f"{url}/v1/models", headers=origin, trust_env=False)
    assert (before.status_code, read.status_code) == (405, 200)
    for answer in (before, read):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_port_in_use_and_a_key_that_can_be_guessed_are_refused_before_the_base_is_loaded(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with listening_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        said = refused(main, "--serve", "--model_path", "nowhere", "--port", port)
        assert f"port {port} on 127.0.0.1 is in use; choose another with --port" in said
    monkeypatch.setenv("HONE_DOOR_KEYS", "short")
    said = refused(main, "--serve", "--model_path", "nowhere", "--port", 0)
    assert "key 1 in HONE_DOOR_KEYS has 5 characters, at least 16 were expected" in said
    monkeypatch.delenv("HONE_DOOR_KEYS")
    said = refused(main, "--serve", "--port", 0)
    assert "reads grids, not text; name a language model with --model_path" in said
