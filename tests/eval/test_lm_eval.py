"""CoQA and GSM8K through lm-evaluation-harness: a scripted model, local files, a whole tiny run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from scripted_models import Scripted
from tiny_bases import RECORDS

from eval.ct3_lm_eval import LmEvalSettings, main
from eval.harness.documents import Document
from eval.harness.run import run_sides
from eval.harness.squad_metrics import compute_exact, compute_f1
from hone.errors import BadInput, NotThere

pytest.importorskip("lm_eval", reason="bash install.sh --extras lm-eval")
from eval.harness.lm_tasks import LmHarness, open_harness

torch.set_num_threads(1)


def gsm8k(count: int) -> list[dict[str, str]]:
    return [
        {"question": f"What is {i} and {i}?", "answer": f"{i} + {i} = {2 * i}\n#### {2 * i}"}
        for i in range(count)
    ]


def coqa(count: int) -> list[dict[str, Any]]:
    def turns(*texts: str) -> dict[str, Any]:
        return {"input_text": [*texts], "turn_id": [*range(1, len(texts) + 1)]}

    return [
        {
            "story": f"The cat number {i} sat on mat {i}.",
            "questions": turns("Who sat?", "Where?"),
            "answers": turns("the cat", f"on mat {i}"),
            "additional_answers": {"0": turns("a cat", f"on the mat {i}")},
        }
        for i in range(count)
    ]


ROWS = {"gsm8k": gsm8k, "coqa": coqa}
GOLD = {"gsm8k": lambda one: f" {one.row['answer']}", "coqa": lambda one: " " + _last(one)}
SCORERS = {"gsm8k": {"strict-match", "flexible-extract"}, "coqa": {"em", "f1"}}


def _last(document: Document) -> str:
    return str(document.row["answers"]["input_text"][-1])


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(params=["gsm8k", "coqa"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LmHarness]:
    data = write(tmp_path / "documents.jsonl", ROWS[request.param](10))
    with open_harness(request.param, data, None, 0) as opened:
        yield opened


@pytest.mark.parametrize("order", ["natural", "shuffled"])
def test_six_gold_answers_of_ten_are_sixty_percent(
    harness: LmHarness, order: str, tmp_path: Path
) -> None:
    model = Scripted(right=GOLD[harness.name], wrong=lambda _: " nothing")
    settings = LmEvalSettings(output_path=tmp_path, task=harness.name, order=order, seed=1)
    documents = harness.documents()
    results = run_sides(model, settings, documents, harness)
    scores = {name: told["score"] for name, told in results["summary"]["base"].items()}
    assert scores == pytest.approx(dict.fromkeys(SCORERS[harness.name], 0.6))
    assert sorted(model.asked) == sorted(one.id for one in documents)
    assert (model.asked == [one.id for one in documents]) == (order == "natural")


def test_six_gold_answers_of_ten_of_the_real_questions(text_data: Path, tmp_path: Path) -> None:
    with (text_data / "gsm8k_test_dev.jsonl").open() as file:
        data = write(tmp_path / "part.jsonl", [json.loads(next(file)) for _ in range(50)])
    with open_harness("gsm8k", data, None, 0) as harness:
        documents = harness.documents()
        model = Scripted(right=GOLD["gsm8k"], wrong=lambda _: " no idea")
        texts = [written.texts for _, written in model.answers("base", documents)]
        marks = harness(documents, texts)
    for scorer in SCORERS["gsm8k"]:
        assert sum(one[scorer] for one in marks) == 30


def test_a_part_is_scored_by_itself(harness: LmHarness) -> None:
    documents = harness.documents()[2:5]
    golds = [[GOLD[harness.name](one)] for one in documents]
    marks = harness(documents, [golds[0], [" nothing"], golds[2]])
    assert [set(one.values()) for one in marks] == [{1.0}, {0.0}, {1.0}]


def test_what_stands_behind_a_stop_word_does_not_count(tmp_path: Path) -> None:
    data = write(tmp_path / "documents.jsonl", gsm8k(3))
    with open_harness("gsm8k", data, None, 0) as harness:
        documents = harness.documents()
        texts = [" #### 0\nQuestion: What? #### 7", " so it is 2", " #### 4."]
        marks = harness(documents, [[text] for text in texts])
    assert [one["strict-match"] for one in marks] == [1, 0, 1]
    assert [one["flexible-extract"] for one in marks] == [1, 1, 1]


def test_prompts_are_the_harness_s_and_queries_the_bare_questions(tmp_path: Path) -> None:
    data, train = write(tmp_path / "a.jsonl", gsm8k(2)), write(tmp_path / "b.jsonl", gsm8k(9)[6:])
    with open_harness("gsm8k", data, train, 2) as harness:
        first = harness.documents()[0]
    assert first.query == "What is 0 and 0?"
    assert first.prompt.endswith("Question: What is 0 and 0?\nAnswer:")
    assert first.prompt.count("Question:") == 3 and "####" in first.prompt
    with open_harness("coqa", write(tmp_path / "c.jsonl", coqa(1)), None, None) as harness:
        (one,) = harness.documents()
    assert one.query == one.prompt.strip() and one.query.endswith("A:"), "as records are spelled"


def test_unusable_input_is_named(tmp_path: Path) -> None:
    data = write(tmp_path / "documents.jsonl", gsm8k(1))
    with pytest.raises(BadInput, match="gsm8k shows 5 solved questions before each; name a file"):
        main(["--task", "gsm8k", "--data", str(data)])
    with pytest.raises(BadInput, match="no --task; choose from coqa, gsm8k"):
        main([])
    with pytest.raises(NotThere, match="no file nowhere"):
        main(["--task", "coqa", "--data", "nowhere.jsonl"])


def test_the_command_adapts_to_each_document(
    text_base: Path, text_kb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"question": one["question"], "answer": "#### 3"} for one in RECORDS[:2]]
    flags = {
        **{"data": write(tmp_path / "documents.jsonl", rows), "model_path": text_base},
        **{"knowledge_base_path": text_kb, "output_path": tmp_path / "out", "task": "gsm8k"},
        **{"num_fewshot": 0, "max_new_tokens": 4, "num_ttt_samples": 2, "lora_rank": 4},
    }
    argv = [f"--{name}={value}" for name, value in flags.items()]
    assert main([*argv, "--ttt", "--controls", "base"]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["id"] for row in results["rows"]["ttt"]] == ["gsm8k 0", "gsm8k 1"]
    assert set(results["summary"]["ttt"]) == SCORERS["gsm8k"]
    assert "strict-match" in capsys.readouterr().out


def test_what_transformers_dropped_scores_as_it_did() -> None:
    assert compute_exact("The cat.", "a cat") == 1 and compute_exact("the cat", "the mat") == 0
    assert compute_f1("on the red mat", "the mat") == pytest.approx(2 * 1 / (3 + 1))
    assert (compute_f1("the", "a"), compute_f1("the", "cat")) == (1, 0)
