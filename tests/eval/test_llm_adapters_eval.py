"""MathQA and MAWPS: both scorers on answers of every kind, a scripted model, a whole tiny run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_models import Scripted

from eval.ct3_llm_adapters_eval import TASKS, LlmAdaptersSettings, main
from eval.harness import maths
from eval.harness.documents import Document
from eval.harness.run import each, run_sides
from hone.errors import BadInput, NotThere

OPTIONS = "what is it ? The options: A ) 38 , B ) 27.675 , C ) 30 , D ) 130 , E ) none of these"
ASKED = {"mathqa": OPTIONS, "mawps": "how many ?"}


def document(task: str, gold: str) -> Document:
    return Document(f"{task} 1", ASKED[task], "", {"answer": gold})


def scores(task: str, gold: str, text: str) -> tuple[bool, bool]:
    found = maths.scores_of(task)(document(task, gold), [text])
    return bool(found["theirs"]), bool(found["careful"])


@pytest.mark.parametrize(
    ("gold", "text", "theirs", "careful"),
    [
        ("C", "C", True, True),
        ("C", "The answer is C", True, True),
        ("C", "Based on the options, the answer is (C).", False, True),
        ("B", "Based on the options, the answer is (C).", True, False),
        ("C", "A train needs so long, hence the answer: C ) 30", False, True),
        ("A", "A is correct, as A follows", True, True),
        ("C", "so it is 30.", False, True),
        ("D", "so it is 130.", False, True),
        ("C", "it is neither D nor E but C", False, True),
        ("C", "Answer: D", False, False),
        ("C", "", False, False),
    ],
)
def test_letters(gold: str, text: str, theirs: bool, careful: bool) -> None:
    assert scores("mathqa", gold, text) == (theirs, careful)


@pytest.mark.parametrize(
    ("gold", "text", "theirs", "careful"),
    [
        ("12.0", "6 * 2 = 12", True, True),
        ("12.0", "The answer is 12. That is 3 less than 15.", False, True),
        ("15.0", "The answer is 12. That is 3 less than 15.", True, False),
        ("1200.0", "#### 1,200", True, True),
        ("1.8333333333333335", "The answer is 11/6.", False, True),
        ("1.8333333333333335", "1.83", False, True),
        ("1.8333333333333335", "1.8", False, False),
        ("12.0", "12.0005", True, True),
        ("-15.0", "The result is -15", True, True),
        ("12.0", "none", False, False),
        ("12.0", "the answer is 12/0", False, False),
    ],
)
def test_numbers(gold: str, text: str, theirs: bool, careful: bool) -> None:
    assert scores("mawps", gold, text) == (theirs, careful)


def write_questions(file: Path, task: str, count: int = 10) -> Path:
    golds = "ABCDE" if task == "mathqa" else [str(1.5 * i) for i in range(1, 6)]
    rows = [
        {"instruction": f"{ASKED[task]} {i}", "input": "", "output": "", "answer": golds[i % 5]}
        for i in range(count)
    ]
    file.write_text(json.dumps(rows))
    return file


def settings_for(out: Path, task: str, **changes: Any) -> LlmAdaptersSettings:
    return LlmAdaptersSettings(output_path=out, task=task, **changes)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("order", ["natural", "shuffled"])
def test_six_gold_answers_of_ten_are_sixty_percent(task: str, order: str, tmp_path: Path) -> None:
    documents = maths.read_documents(task, write_questions(tmp_path / "test.json", task, 50))
    model = Scripted(
        right=lambda one: f"the answer is {one.row['answer']}",
        wrong=lambda one: (
            "the answer is " + ("E" if one.row["answer"] == "A" else "A")
            if task == "mathqa"
            else "the answer is 99"
        ),
    )
    settings = settings_for(tmp_path, task, controls=("all",), order=order)
    results = run_sides(model, settings, documents, each(maths.scores_of(task)))
    assert [*results["summary"]] == ["base", "retrieval", "ttt", "both", "format"]
    for by_scorer in results["summary"].values():
        assert by_scorer["theirs"]["score"] == by_scorer["careful"]["score"] == 0.6
        low, high = by_scorer["careful"]["ci95"]
        assert 0.45 < low < 0.6 < high < 0.75
    assert results["summary"]["ttt"]["careful"]["difference"] == 0
    ids = [row["id"] for row in results["rows"]["base"]]
    assert (ids == [one.id for one in documents]) == (order == "natural")
    assert sorted(ids) == sorted(one.id for one in documents)


@pytest.mark.parametrize("task", TASKS)
def test_six_gold_answers_of_ten_of_the_real_questions(
    task: str, tmp_path: Path, text_data: Path
) -> None:
    documents = maths.read_documents(task, text_data / f"{task}_test_dev.jsonl")
    model = Scripted(right=lambda one: str(one.row["answer"]), wrong=lambda one: "no idea")
    settings = settings_for(tmp_path, task)
    results = run_sides(model, settings, documents[:100], each(maths.scores_of(task)))
    assert {name: told["score"] for name, told in results["summary"]["base"].items()} == {
        "theirs": 0.6,
        "careful": 0.6,
    }


def test_a_run_that_was_killed_goes_on(tmp_path: Path) -> None:
    documents = maths.read_documents("mawps", write_questions(tmp_path / "test.json", "mawps"))
    settings = settings_for(tmp_path, "mawps")
    model = Scripted(right=lambda one: str(one.row["answer"]), wrong=lambda one: "")
    scorer = each(maths.scores_of("mawps"))
    part = run_sides(model, settings_for(tmp_path, "mawps", limit=4), documents, scorer)
    with (tmp_path / "answers.jsonl").open("a") as file:
        file.write('{"key": "a line that was cut')
    whole = run_sides(model, settings, documents, scorer)
    assert model.asked == [one.id for one in documents], "each once"
    assert whole["rows"]["base"][:4] == part["rows"]["base"]
    assert json.loads((tmp_path / "results.json").read_text())["summary"] == whole["summary"]


def test_unusable_questions_are_named(tmp_path: Path) -> None:
    file = write_questions(tmp_path / "test.json", "mathqa")
    with pytest.raises(BadInput, match=r"\"answer\" is 'A', a number was expected"):
        maths.read_documents("mawps", file)
    with pytest.raises(BadInput, match="no --task; choose from mathqa, mawps"):
        main([])
    with pytest.raises(NotThere, match="git clone LLM-Adapters and move its dataset folder to"):
        main(["--task", "mawps", "--data", str(tmp_path / "nowhere" / "mawps" / "test.json")])
    (tmp_path / "odd.jsonl").write_text('{"question": "?"}\n')
    with pytest.raises(BadInput, match=r'line 1 has no "instruction"'):
        maths.read_documents("mawps", tmp_path / "odd.jsonl")


def test_training_needs_samples(tmp_path: Path) -> None:
    file = write_questions(tmp_path / "test.json", "mawps")
    with pytest.raises(BadInput, match="--num_ttt_samples is 0, and ttt need"):
        main(["--task", "mawps", "--data", str(file), "--ttt", "--num_ttt_samples", "0"])
