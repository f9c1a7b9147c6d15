"""What each side shows the base and trains on, and what is withheld; with a tiny real base."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_bases import RECORDS

from eval.ct3_llm_adapters_eval import LlmAdaptersSettings, main
from eval.harness.answerer import DocumentAnswerer, Writing, open_answerer
from eval.harness.documents import Document, Written
from eval.harness.format_only import format_samples
from eval.harness.wording import Wording
from kb.retriever import LocalRetriever
from kb.store import KnowledgeBase
from models.decoding.choice import Sampling

torch.set_num_threads(1)
LEARNING = {
    **{"num_ttt_samples": 2, "only_faiss": True, "num_epochs": 12, "learning_rate": 1e-2},
    **{"lora_rank": 8, "k": 1, "ttt": True, "controls": ("all",)},
}
SHORT = Writing(6)
RAW = Wording("{}\n", "{}")
ROSE = Document("colours 1", "what colour is the rose ?", "what colour is the rose ?\n", {})
OTHER = Document("colours 2", "the sky is what colour ?", "the sky is what colour ?\n", {})


class Opening:
    def __init__(self, base: Path, kb: Path, folder: Path) -> None:
        self.places = {"model_path": str(base), "knowledge_base_path": kb, "output_path": folder}

    def __call__(self, *tests: Document, writing: Writing = SHORT, **changes: Any) -> Any:
        settings = LlmAdaptersSettings(**self.places, **(LEARNING | changes))
        return open_answerer(settings, RAW, writing, [one.query for one in tests])


@pytest.fixture
def opening(text_base: Path, text_kb: Path, tmp_path: Path) -> Opening:
    return Opening(text_base, text_kb, tmp_path)


def answers(model: DocumentAnswerer, side: str, *documents: Document) -> list[Written]:
    found = dict(model.answers(side, documents))
    return [found[i] for i in range(len(documents))]


def test_each_side_does_what_it_is_called(opening: Opening) -> None:
    with opening() as model:  # no test set: nothing is withheld
        sides = ("base", "retrieval", "ttt", "both")
        found = {side: answers(model, side, ROSE)[0] for side in sides}
    assert {side: one.trace["in_prompt"] for side, one in found.items()} == {
        **{"base": 0, "ttt": 0},
        **{"retrieval": 3, "both": 3},
    }
    assert found["ttt"].texts == ["red"] != found["base"].texts
    assert found["ttt"].trace["decision"] == found["both"].trace["decision"] == "train"
    assert found["base"].trace["decision"] == found["retrieval"].trace["decision"] == "base"
    assert found["retrieval"].texts != found["base"].texts
    assert set(found["ttt"].trace["seconds"]) == {"embed", "retrieve", "train", "generate"}


def test_what_gives_a_test_question_away_is_neither_shown_nor_trained_on(opening: Opening) -> None:
    with opening(ROSE) as model:
        (own,) = answers(model, "ttt", ROSE)
        samples = model._samples([ROSE])[0]
    assert own.trace["items_withheld"] == 1 and own.texts != ["red"]
    assert "what colour is the rose ?" not in [hit.prompt for hit in samples]
    with opening(ROSE, keep_contaminated=True) as model:
        (own,) = answers(model, "ttt", ROSE)
        assert own.texts == ["red"] and own.trace["items_withheld"] == 0


def test_samples_stand_before_the_question_nearest_last(opening: Opening) -> None:
    with opening(samples_in_prompt=2) as model:
        (one,) = model._shown([OTHER], True)
        text = model.format.tokenizer.decode(one.prompt.ids.tolist())
    near, far = "what colour is the sky ?\nblue", text.split("\n\n")[0].removeprefix("<s>")
    assert text == f"<s>{far}\n\n{near}\n\n{OTHER.prompt}" and far != near


def test_the_format_adapter_learned_from_answers_to_other_questions(
    opening: Opening, text_kb: Path
) -> None:
    retriever = LocalRetriever(KnowledgeBase.open(text_kb))
    right = {record["question"]: record["answer"] for record in RECORDS}
    samples = format_samples(retriever, 5, seed=0)
    assert len(samples) > 1
    assert all(right[hit.prompt] != hit.answer for hit in samples)
    assert sorted(hit.answer for hit in samples) == sorted(right[hit.prompt] for hit in samples)
    with opening() as model:
        written = answers(model, "format", ROSE, OTHER)
        assert written[0].texts != answers(model, "base", ROSE)[0].texts
        assert all(one.trace["decision"] == "train" for one in written)


def test_a_document_that_the_base_cannot_read_is_not_answered(opening: Opening) -> None:
    long = Document("colours 3", "sky", "sky " * 70, {})
    with opening() as model:
        found = answers(model, "ttt", long, ROSE)
    assert found[0] == Written([""], {"decision": "too long"}) and found[1].texts == ["red"]


def test_kept_adapters_serve_later_documents_in_their_order(opening: Opening) -> None:
    again = Document("colours 4", ROSE.query, ROSE.prompt, {})
    with opening(local_adapter_managing=True, local_adapter_manager_threshold=0.99) as model:
        found = answers(model, "ttt", ROSE, OTHER, again)
        natural = model.how("ttt")
    assert [one.trace["decision"] for one in found] == ["train", "train", "hit"]
    assert found[2].texts == found[0].texts
    with opening(local_adapter_managing=True, order="shuffled") as model:
        assert model.how("ttt") != natural, "the order decides what is kept by then"
        assert answers(model, "ttt", again)[0].trace["decision"] == "train", "a store of its own"


def test_what_is_drawn_does_not_depend_on_the_order(opening: Opening) -> None:
    drawing = Writing(6, samples=3, rows=2, sampling=Sampling(temperature=5.0))
    with opening(writing=drawing) as model:
        both, other = answers(model, "base", ROSE, OTHER), answers(model, "base", OTHER)
    assert both[1].texts == other[0].texts
    assert len(both[0].texts) == 3 and len({*both[0].texts}) > 1


def test_answers_have_another_name_where_something_shaped_them_otherwise(opening: Opening) -> None:
    def names(**changes: Any) -> Iterator[str]:
        with opening(**changes) as model:
            yield from (model.how(side) for side in ("base", "retrieval", "ttt"))

    plain, more, fewer = [*names()], [*names(num_epochs=13)], [*names(samples_in_prompt=1)]
    assert len({*plain}) == 3
    assert plain[0] == more[0] == fewer[0] and plain[2] != more[2]
    assert plain[1] != fewer[1]


def test_the_command_runs_every_side(
    opening: Opening, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "mawps.jsonl"
    rows = [{"instruction": record["question"], "answer": "3"} for record in RECORDS[:2]]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = {**opening.places, "task": "mawps", "data": data, "max_new_tokens": 6}
    flags |= {name: value for name, value in LEARNING.items() if name not in ("ttt", "controls")}
    argv = [f"--{name}={value}" for name, value in flags.items()]
    assert main([*argv, "--ttt", "--controls", "all"]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results["rows"]) == {"base", "retrieval", "ttt", "both", "format"}
    counts = results["counts"]["ttt"]
    assert counts.pop("withheld") >= 2 and sum(counts.values()) == 2
    said = capsys.readouterr().out
    assert "careful" in said and "withheld" in said
