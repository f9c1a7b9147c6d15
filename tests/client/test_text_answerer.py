"""The way of a text query: where labels begin, in which order samples are read, what is learned."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_bases import RECORDS, serving, word_tokenizer

from arc.formats import IGNORED
from client.opening import open_adaptation
from client.settings import Settings
from client.text_answerer import TextAnswerer
from client.text_format import TextFormat
from hone.errors import BadInput
from kb.wire import Hit

torch.set_num_threads(1)
QUERY = "what colour is the sky ?"
LEARNING = {
    **{"num_ttt_samples": 2, "only_faiss": True, "num_epochs": 12, "learning_rate": 1e-2},
    **{"lora_rank": 8, "k": 1},
}


def open_answerer(base: Path, *, adapt: bool = True, **changes: Any) -> TextAnswerer:
    settings = Settings(model_path=str(base), **(LEARNING | changes))
    return TextAnswerer(open_adaptation(settings, "text", adapt=adapt), max_new_tokens=6)


@pytest.fixture(scope="module")
def answerer(text_base: Path, text_kb: Path) -> TextAnswerer:
    return open_answerer(text_base, knowledge_base_path=text_kb)


def hit(prompt: str, answer: str, multiplicity: int = 1, score: float = 1.0) -> Hit:
    return Hit(
        id=0,
        source="s",
        kind="text",
        prompt=prompt,
        answer=answer,
        score=score,
        multiplicity=multiplicity,
    )


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_labels_begin_with_the_answer_and_end_with_the_stop(chat: bool) -> None:
    form = TextFormat(word_tokenizer(chat))
    prompt, example = form.prompt(QUERY), form.example(QUERY, "green blue")
    n = len(prompt)
    assert np.array_equal(example.ids[:n], prompt.ids) and (example.labels[:n] == IGNORED).all()
    assert np.array_equal(example.labels[n:], example.ids[n:]) and example.ids[-1] == form.stop
    assert form.read(example.ids[n:].tolist()) == "green blue"
    assert example.positions.tolist() == list(range(len(example)))
    assert prompt.counted == 0
    shown = form.tokenizer.decode(prompt.ids.tolist())
    assert shown == (f"<user> {QUERY} <bot> " if chat else f"<s>{QUERY}\n")


def test_a_tokenizer_without_an_end_is_refused() -> None:
    tokenizer = word_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(BadInput, match="set eos_token"):
        TextFormat(tokenizer)
    with pytest.raises(BadInput, match="reads grids, not text"):
        TextFormat(None)


def test_items_come_nearest_first_as_often_as_picked(answerer: TextAnswerer) -> None:
    hits = [hit("the sky ?", "blue", 2), hit("the rose ?", "red"), hit("the " * 70, "red")]
    made = answerer._items(hits)
    said = [answerer.format.tokenizer.decode(item.encoded.ids.tolist()) for item in made.items]
    near, far = "<s>the sky ?\nblue</s>", "<s>the rose ?\nred</s>"
    assert said == [near, near, far] and made.too_long == 1
    job = answerer.adaptation._job(made.items)
    batches = job.batches()
    drawn = [next(batches)[0] for _ in range(6)]
    assert [item is made.items[i % 3] for i, item in enumerate(drawn)] == [True] * 6
    assert job.steps == 3 * LEARNING["num_epochs"]
    chosen = [hit("a", "far", score=0.2), hit("b", "near", score=0.9), hit("c", "nearer", score=1)]
    ends = [item.encoded.ids.tolist() for item in answerer._items(chosen).items]
    wanted = [answerer.format.example(*pair) for pair in (("c", "nearer"), ("b", "near"))]
    assert ends[:2] == [one.ids.tolist() for one in wanted] and len(ends) == 3


def test_a_sample_without_an_answer_is_not_trained_on(answerer: TextAnswerer) -> None:
    """It would teach nothing but to be silent; where there are no others, the base answers."""
    made = answerer._items([hit("the sky ?", " \n"), hit("the rose ?", "red"), hit("snow", "")])
    assert [answerer.format.text(item.encoded.ids.tolist()) for item in made.items] == [
        "<s>the rose ?\nred</s>"
    ]
    silent = dataclasses.replace(answerer.adaptation, retriever=Silent())
    (answer,) = TextAnswerer(silent, 6).answer([QUERY], adapt=True)
    (plain,) = TextAnswerer(silent, 6).answer([QUERY], adapt=False)
    assert answer.trace["decision"] == "nothing to train on" and answer.text == plain.text


class Silent:
    """A retriever whose records have lost their answers."""

    def search(self, vectors: Any, k: int, **_: Any) -> list[list[Hit]]:
        return [[hit("the sky ?", "")] for _ in vectors]

    def info(self) -> Any: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("base", ["text_base", "chat_base"])
def test_it_learns_to_say_what_was_retrieved(
    base: str, text_kb: Path, request: pytest.FixtureRequest
) -> None:
    answerer = open_answerer(request.getfixturevalue(base), knowledge_base_path=text_kb)
    (before,) = answerer.answer([QUERY], adapt=False)
    (after,) = answerer.answer([QUERY], adapt=True)
    assert before.text != "blue" and after.text == "blue"
    assert after.trace["retrieved"][0]["score"] == pytest.approx(1)
    assert (after.trace["decision"], before.trace["decision"]) == ("train", "base")
    assert after.trace["losses"][-1] < after.trace["losses"][0]
    assert after.trace["written_tokens"] == 2  # the word, the stop
    assert set(after.trace["seconds"]) == {"embed", "retrieve", "train", "generate"}
    (again,) = answerer.answer([QUERY], adapt=False)
    assert again.text == before.text


def test_several_queries_get_an_adapter_each(text_base: Path, text_kb: Path) -> None:
    wanted = {record["question"]: record["answer"] for record in RECORDS[:3]}
    answerer = open_answerer(
        text_base, knowledge_base_path=text_kb, k=2, num_ttt_samples=1, num_epochs=24
    )
    answers = answerer.answer(list(wanted), adapt=True)
    assert {answer.query: answer.text for answer in answers} == wanted
    assert [answer.trace["seat"]["entered_at"] for answer in answers] == [0, 0, 24]


def test_the_usual_server_is_one_that_is_named(text_base: Path, text_kb: Path) -> None:
    with serving(text_kb) as url:
        answerer = open_answerer(text_base, server_url=url)
        with answerer.adaptation:
            (answer,) = answerer.answer([QUERY], adapt=True)
    assert answer.text == "blue"


def test_an_answer_ends_where_the_context_does(text_base: Path) -> None:
    answerer = open_answerer(text_base, adapt=False)
    answerer.room = 1000
    answerer.format.stop = -1  # never written
    (answer,) = answerer.answer([QUERY], adapt=False)
    assert answer.trace["written_tokens"] == 64 - len(answerer.format.prompt(QUERY))


def test_a_query_longer_than_the_context_is_refused(answerer: TextAnswerer) -> None:
    with pytest.raises(BadInput, match="the query has 65 tokens, the base reads 64; shorten it"):
        answerer.answer(["sky " * 31 + "sky"], adapt=True)


def test_a_limit_of_the_tokenizer_is_not_spoken_of_twice(
    text_base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """transformers would warn of the length on stderr, before the line that says it."""
    base = Path(shutil.copytree(text_base, tmp_path / "base"))
    word_tokenizer(longest=20).save_pretrained(base)
    answerer = open_answerer(base, adapt=False)
    loud = logging.getLogger("transformers")
    loud.addHandler(caplog.handler)
    with pytest.raises(BadInput, match="tokens, the base reads 64"):
        answerer.answer(["sky " * 40], adapt=False)
    loud.removeHandler(caplog.handler)
    assert caplog.messages == []


def test_a_changed_chat_template_is_another_base(chat_base: Path, tmp_path: Path) -> None:
    """Adapters were trained under the template, so they do not serve under another."""
    base = Path(shutil.copytree(chat_base, tmp_path / "base"))
    tokenizer = word_tokenizer(chat=True)
    tokenizer.chat_template = tokenizer.chat_template.replace("<user> ", "<user><user> ")
    tokenizer.save_pretrained(base)
    fingerprints = {open_answerer(b, adapt=False).base.fingerprint for b in (chat_base, base)}
    assert len(fingerprints) == 2
