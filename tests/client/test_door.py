"""The door as other programs find it: asked by OpenAI's own client, over a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from openai import OpenAI
from opened_door import asking, how_of, opened, user
from test_training_flags import QUERY
from tiny_bases import RECORDS

from client.text_answerer import Answer

torch.set_num_threads(1)


def test_models_are_listed(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["chat", "chat:base"]
    assert client.models.retrieve("chat:base").id == "chat:base"
    with pytest.raises(openai.NotFoundError, match="no model 'gpt' here; there are: chat, chat:b"):
        client.models.retrieve("gpt")


def test_a_chat_is_answered_as_by_the_one_shot_client(
    client: OpenAI, one_shot: Callable[..., Answer]
) -> None:
    """With an adapter of its own; under its other name, by the base as it is."""
    for model, adapt in (("chat", True), ("chat:base", False)):
        found = client.chat.completions.create(model=model, messages=user(QUERY))
        (choice,), alone = found.choices, one_shot(QUERY, adapt=adapt)
        assert choice.message.role == "assistant"
        assert (choice.message.content, choice.finish_reason) == (
            alone.text,
            alone.said[0].ended,
        )
        assert found.usage is not None and found.model == model
        assert found.usage.completion_tokens == alone.trace["written_tokens"]
        assert found.usage.prompt_tokens == 16  # the template's among them
        (how,) = how_of(found)
        assert how["decision"] == alone.trace["decision"]
        assert how["steps"] == len(alone.trace.get("losses", []))
    assert one_shot(QUERY).text == "blue" != one_shot(QUERY, adapt=False).text


def test_each_answer_leaves_a_trace(chat_base: Path, text_kb: Path, tmp_path: Path) -> None:
    with opened(chat_base, text_kb, tmp_path) as url, asking(url) as client:
        client.chat.completions.create(model="chat", messages=user(QUERY))
    (file,) = (tmp_path / "traces").iterdir()
    (told,) = json.loads(file.read_text())["answers"]
    assert (told["query"], told["answer"]) == (QUERY, "blue") and told["trace"]["losses"]


@pytest.mark.parametrize("model", ["chat", "chat:base"])
def test_a_stream_says_piece_by_piece_what_is_answered_at_once(client: OpenAI, model: str) -> None:
    more: Any = {"model": model, "messages": user(QUERY), "logprobs": True, "top_logprobs": 2}
    whole = client.chat.completions.create(**more)
    chunks = list(
        client.chat.completions.create(**more, stream=True, stream_options={"include_usage": True})
    )
    *written, last = chunks
    assert last.choices == [] and last.usage == whole.usage
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in written)
    deltas = [chunk.choices[0].delta for chunk in written]
    assert (deltas[0].role, deltas[0].content) == ("assistant", "")
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    ends = [chunk.choices[0].finish_reason for chunk in written]
    assert ends[-1] == whole.choices[0].finish_reason and set(ends[:-1]) == {None}
    logs = [chunk.choices[0].logprobs for chunk in written]
    told = [token for log in logs if log is not None for token in log.content or []]
    assert whole.choices[0].logprobs is not None and told == whole.choices[0].logprobs.content
    assert len({chunk.id for chunk in chunks}) == 1


def test_log_probabilities_are_the_models_own(client: OpenAI) -> None:
    more: Any = {"model": "chat:base", "messages": user(QUERY), "logprobs": True}
    found = client.chat.completions.create(**more, top_logprobs=3, temperature=0)
    assert found.choices[0].logprobs is not None
    tokens = found.choices[0].logprobs.content
    assert tokens
    for token in tokens:
        assert token.logprob == token.top_logprobs[0].logprob <= 0  # greedy: the likeliest
        assert token.bytes == list(token.token.encode())
        values = [one.logprob for one in token.top_logprobs]
        assert len(values) == 3 and values == sorted(values, reverse=True)
    assert "".join(token.token for token in tokens).strip() == found.choices[0].message.content
    bare = client.chat.completions.create(**more)
    assert bare.choices[0].logprobs is not None and bare.choices[0].logprobs.content
    assert [one.logprob for one in bare.choices[0].logprobs.content] == [
        one.logprob for one in tokens
    ]
    assert all(one.top_logprobs == [] for one in bare.choices[0].logprobs.content)


def test_an_answer_ends_before_a_stop_string(client: OpenAI) -> None:
    more: Any = {"model": "chat:base", "prompt": "the sky", "max_tokens": 12}
    whole = client.completions.create(**more).choices[0].text
    assert len(whole) > 20
    word = whole[9:13]
    cut = client.completions.create(**more, stop=["nowhere", word]).choices[0]
    assert (cut.text, cut.finish_reason) == (whole[: whole.index(word)], "stop")
    chunks = client.completions.create(**more, stop=word, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == cut.text


def test_a_seed_settles_what_is_drawn(client: OpenAI) -> None:
    def drawn(**more: Any) -> list[str]:
        asked: Any = {"model": "chat:base", "prompt": "the sky", "temperature": 2, "max_tokens": 12}
        return [one.text for one in client.completions.create(**asked, **more).choices]

    assert drawn(seed=1) == drawn(seed=1) != drawn(seed=2)
    three = drawn(seed=1, n=3)
    assert len(set(three)) == 3 and three[:1] == drawn(seed=1)
    assert len({drawn()[0] for _ in range(4)}) > 1
    assert drawn(seed=1, top_p=1e-6) == drawn(seed=2, top_p=1e-6)


def test_a_completion_is_read_as_it_stands(client: OpenAI, chat_base: Path, text_kb: Path) -> None:
    """No template, neither around the prompt nor around what is trained on."""
    found = client.completions.create(model="chat", prompt=f"{QUERY}\n", logprobs=2)
    (choice,) = found.choices
    assert choice.text == "blue" and choice.finish_reason == "stop"
    assert found.usage is not None and found.usage.prompt_tokens == 13
    logs = choice.logprobs
    assert logs is not None and logs.tokens == ["blue"] and logs.text_offset == [0]
    assert logs.top_logprobs is not None and len(logs.top_logprobs[0]) == 2
    assert logs.top_logprobs[0]["blue"] == logs.token_logprobs[0]


def test_several_prompts_get_an_adapter_each(client: OpenAI) -> None:
    prompts = [f"{record['question']}\n" for record in RECORDS[:3]]
    wanted = [record["answer"] for record in RECORDS[:3]]
    found = client.completions.create(model="chat", prompt=prompts)
    assert [choice.text for choice in found.choices] == wanted
    assert [choice.index for choice in found.choices] == [0, 1, 2]
    texts = ["", "", ""]
    for chunk in client.completions.create(model="chat", prompt=prompts, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == wanted


def test_a_conversation_is_read_by_the_template(client: OpenAI) -> None:
    turns: list[Any] = [
        {"role": "system", "content": "colour"},
        {"role": "user", "content": "the sky"},
        {"role": "assistant", "content": "blue", "refusal": None},
        {"role": "user", "content": [{"type": "text", "text": QUERY}]},
    ]
    found = client.chat.completions.create(model="chat", messages=turns)
    alone = client.chat.completions.create(model="chat", messages=turns[-1:])
    assert found.usage is not None and alone.usage is not None
    assert found.usage.prompt_tokens > alone.usage.prompt_tokens + 6
    (how,) = how_of(found)
    assert how["items"] == 1  # what was retrieved for the last message


def test_a_base_without_a_template_reads_one_message(
    text_base: Path, text_kb: Path, tmp_path: Path
) -> None:
    with opened(text_base, text_kb, tmp_path) as url, asking(url) as client:
        found = client.chat.completions.create(model="text", messages=user(QUERY))
        assert found.choices[0].message.content == "blue"
        with pytest.raises(openai.BadRequestError, match="has no chat template"):
            client.chat.completions.create(
                model="text", messages=[{"role": "system", "content": "x"}, *user(QUERY)]
            )


def test_without_training_the_base_has_its_one_name(
    chat_base: Path, text_kb: Path, tmp_path: Path
) -> None:
    with opened(chat_base, text_kb, tmp_path, ttt=False) as url, asking(url) as client:
        assert [model.id for model in client.models.list()] == ["chat"]
        found = client.chat.completions.create(model="chat", messages=user(QUERY))
        assert how_of(found)[0]["decision"] == "base"


def test_adapters_are_kept_for_like_requests_of_the_same_kind(
    chat_base: Path, text_kb: Path, tmp_path: Path
) -> None:
    """What was trained behind the template does not answer prompts without it."""
    keeping = {
        "local_adapter_managing": True,
        "local_adapter_manager_dir": tmp_path / "adapters",
        "local_adapter_manager_threshold": 0.99,
    }
    with opened(chat_base, text_kb, tmp_path, **keeping) as url, asking(url) as client:

        def decisions() -> list[str]:
            answers: list[Any] = [
                client.chat.completions.create(model="chat", messages=user(QUERY)),
                client.completions.create(model="chat", prompt=QUERY),
            ]
            return [how_of(answer)[0]["decision"] for answer in answers]

        assert decisions() == ["train", "train"]
        assert decisions() == ["hit", "hit"]
