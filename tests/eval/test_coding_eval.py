"""MBPP and HumanEval: programs of answers, pass@k, a scripted model, canonical solutions."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path
from typing import Any

import pytest
from scripted_models import Scripted

from eval.ct3_coding_eval import CodingSettings, main
from eval.harness import coding
from eval.harness.documents import Document
from eval.harness.run import each, run_sides
from eval.sandbox.cell import Sandbox, open_sandbox
from hone.errors import BadInput

HEAD = 'def double(x):\n    """ Twice x. """\n'
BODY = "    return 2 * x\n"
WRONG = "    return x\n"
CHECK = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(0) == 0\n"
EVENS = "def evens(n):\n    return list(range(0, n, 2))"


def humaneval(count: int = 1) -> list[dict[str, str]]:
    return [
        {"task_id": f"HumanEval/{i}", "prompt": HEAD, "entry_point": "double", "test": CHECK}
        for i in range(count)
    ]


def mbpp(count: int = 1) -> list[dict[str, Any]]:
    tests = ["assert evens(5) == [0, 2, 4]", "assert evens(0) == []"]
    return [
        {"task_id": 11 + i, "text": "Even numbers below n.", "code": EVENS, "test_list": tests}
        for i in range(count)
    ]


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    try:
        return open_sandbox("auto")
    except BadInput as error:
        pytest.skip(str(error))


def document(task: str, tmp_path: Path) -> Document:
    rows = humaneval() if task == "humaneval" else mbpp()
    return coding.read_documents(task, write(tmp_path / "rows.jsonl", rows))[0]


FENCED = f"Sure, here it is:\n```python\n{HEAD}{BODY}```\nIt doubles x."


@pytest.mark.parametrize(
    ("text", "theirs", "careful"),
    [
        (f"\n{BODY}", 1, 1),
        (f"\n{WRONG}", 0, 0),
        (f"\n{BODY}\nprint(double(3)\n", 1, 1),  # cut at a stop word; or taken away
        (f"\n{BODY}\ndef other():\n    return (\n", 1, 1),
        (FENCED, 0, 1),
        (f"\n{HEAD}{BODY}", 0, 1),
        (f"\n{BODY}```\nIt returns twice x.", 1, 1),
        ("", 0, 0),
        ("\n    return 2 * x if x else exit(0)\n", 0, 0),
    ],
)
def test_programs_of_answers(
    text: str, theirs: int, careful: int, tmp_path: Path, sandbox: Sandbox
) -> None:
    scores = coding.Passes("humaneval", sandbox, 1)(document("humaneval", tmp_path), [text])
    assert scores == {"pass@1": theirs, "careful pass@1": careful}


def test_mbpp_is_asked_with_its_first_test(tmp_path: Path, sandbox: Sandbox) -> None:
    asked = document("mbpp", tmp_path)
    assert asked.prompt == '"""\nEven numbers below n.\nassert evens(5) == [0, 2, 4]\n"""\n'
    told = coding.Passes("mbpp", sandbox, 1)(asked, [f"{EVENS}\n\nassert evens(1) == 7\n"])
    assert told == {"pass@1": 1, "careful pass@1": 0}


def test_of_all_of_mbpp_the_test_split_is_asked(tmp_path: Path) -> None:
    rows = [{**mbpp()[0], "task_id": i} for i in (1, 10, 11, 510, 511, 974)]
    documents = coding.read_documents("mbpp", write(tmp_path / "mbpp.jsonl", rows))
    assert [one.id for one in documents] == ["mbpp 11", "mbpp 510"]


def test_pass_at_k_is_the_share_of_draws_with_a_right_one() -> None:
    assert [coding.pass_at(1, 10, passed) for passed in (0, 3, 10)] == pytest.approx([0, 0.3, 1])
    assert coding.pass_at(2, 4, 1) == pytest.approx(1 - comb(3, 2) / comb(4, 2))
    assert coding.pass_at(10, 10, 1) == 1


@pytest.mark.parametrize("task", ["mbpp", "humaneval"])
def test_six_gold_answers_of_ten_are_sixty_percent(
    task: str, tmp_path: Path, sandbox: Sandbox
) -> None:
    rows = humaneval(10) if task == "humaneval" else mbpp(10)
    documents = coding.read_documents(task, write(tmp_path / "rows.jsonl", rows))
    right, wrong = (f"\n{BODY}", f"\n{WRONG}") if task == "humaneval" else (EVENS, "evens = len")
    model = Scripted(lambda _: right, lambda _: wrong, samples=10)
    settings = CodingSettings(output_path=tmp_path, task=task, ttt=True, controls=("base",))
    results = run_sides(model, settings, documents, each(coding.Passes(task, sandbox, 2)))
    assert set(results["summary"]) == {"base", "ttt"}
    for by_scorer in results["summary"].values():
        names = ["pass@1", "pass@10", "careful pass@1", "careful pass@10"]
        scores = {name: told["score"] for name, told in by_scorer.items()}
        assert scores == dict.fromkeys(names, 0.6)


def score(documents: list[Document], sandbox: Sandbox, change: str = "") -> float:
    """Of the canonical solutions, all with the same change before their first line."""
    passes = coding.Passes("humaneval", sandbox, 2)
    scores = [
        passes(one, [f"\n{change}{one.row['canonical_solution']}"])["pass@1"] for one in documents
    ]
    return sum(scores) / len(scores)


MUTANTS = ("    return None\n", "    raise ValueError\n", "    return ...\n")


THE_REST = pytest.param(slice(8, None), marks=pytest.mark.slow)


@pytest.mark.parametrize("part", [slice(0, 8), THE_REST])
def test_canonical_solutions_pass_and_their_mutants_do_not(
    part: slice, text_data: Path, sandbox: Sandbox
) -> None:
    documents = coding.read_documents("humaneval", text_data / "humaneval.jsonl")[part]
    assert score(documents, sandbox) == 1
    assert [score(documents, sandbox, mutant) for mutant in MUTANTS] == [0, 0, 0]


def test_nothing_is_run_unless_it_is_allowed(tmp_path: Path) -> None:
    data = write(tmp_path / "rows.jsonl", humaneval())
    with pytest.raises(BadInput, match="allow that, in a sandbox, with --allow_code_execution"):
        main(["--tasks", "humaneval", "--data", str(data)])
    assert not list(tmp_path.glob("runs*"))


def test_unusable_input_is_named(tmp_path: Path) -> None:
    allowed = ["--allow_code_execution", "--tasks", "mbpp"]
    with pytest.raises(BadInput, match="no --tasks; choose from mbpp, humaneval"):
        main(["--allow_code_execution"])
    with pytest.raises(BadInput, match="the same answer every time; add --do_sample"):
        main([*allowed, "--n_samples", "10", "--do_sample", "False"])
    data = write(tmp_path / "rows.jsonl", humaneval())
    with pytest.raises(BadInput, match=r"lacks text, code, test_list of mbpp"):
        coding.read_documents("mbpp", data)
