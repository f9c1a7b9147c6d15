"""Test questions are found however they were typed, wherever they stand; others are left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arc.augment import colours
from arc.generators import sample_task, training_families
from arc.task import task_to_json
from hone.errors import BadInput, NotThere
from kb import contamination
from kb.decontamination import KnownTests, open_test_sets
from kb.records import Record, record_of_task

LONG = "Anna has 3 red apples and buys 4 more, how many apples does she have now?"
OTHER = "Every morning the old miller walks to the river and counts eleven grey herons."


def _tests(folder: Path, *questions: str) -> KnownTests:
    (path := folder / "test.jsonl").write_text(
        "\n".join(json.dumps({"instruction": question, "output": ""}) for question in questions)
    )
    return open_test_sets([path], "text")


def _share(tests: KnownTests, prompt: str, answer: str = "") -> float:
    matches = list(tests.matches(Record("s", "text", prompt, answer)))
    return max((match.share for match in matches), default=0.0)


@pytest.mark.parametrize(
    "prompt",
    [
        LONG,
        "anna has 3 red apples and buys 4 more; how many apples does she have now",
        f"Question: {LONG} Think step by step.",
        f"{OTHER} {LONG}",
    ],
)
def test_word_for_word_wherever_it_stands(tmp_path: Path, prompt: str) -> None:
    tests = _tests(tmp_path, OTHER + " And then?", LONG)
    assert _share(tests, prompt) == 1
    assert _share(tests, "Continue:", prompt) == 1
    best = max(tests.matches(Record("s", "text", prompt, "")), key=lambda match: match.share)
    assert str(best) == "test.jsonl row 2"


def test_most_of_a_question_is_enough(tmp_path: Path) -> None:
    tests = _tests(tmp_path, LONG)
    assert 0.5 <= _share(tests, LONG.replace("now", "at the end of the day")) < 1
    assert _share(tests, LONG.replace("apples", "pears")) == 0
    assert _share(tests, OTHER) == 0


def test_short_questions_count_only_as_the_whole_prompt(tmp_path: Path) -> None:
    tests = _tests(tmp_path, "What is 3 + 4?", "What is 3 + 4?")
    assert _share(tests, "what is 3+4") == 1
    assert len(list(tests.matches(Record("s", "text", "What is 3 + 4", "")))) == 2
    assert _share(tests, "What is 3 - 4?") == 0
    assert _share(tests, "Ben asks: what is 3 + 4? Cleo says it is 8. Who is right?") == 0


def test_tasks_are_known_by_their_input_grids(tmp_path: Path) -> None:
    tasks = [sample_task(family, 5) for family in training_families()[:6]]
    (folder := tmp_path / "evaluation").mkdir()
    for task in tasks[:3]:
        (folder / f"{task.id.replace(':', '_')}.json").write_text(json.dumps(task_to_json(task)))
    tests = open_test_sets([folder], "arc")
    records = [record for task in tasks if (record := record_of_task(task, "s"))]
    assert [bool(list(tests.matches(record))) for record in records] == [True] * 3 + [False] * 3
    assert tests.sizes == {"evaluation": 3}
    looks = colours([1, 0, 3, 2, 5, 4, 7, 6, 9, 8]).apply(tasks[0])
    other = record_of_task(looks, "s")
    assert other is not None and not list(tests.matches(other))  # a stated limit: looks differ


def test_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match="--exclude"):
        open_test_sets([tmp_path / "none"], "text")
    (path := tmp_path / "a.txt").write_text("x")
    with pytest.raises(BadInput, match="was expected"):
        open_test_sets([path], "text")
    (path := tmp_path / "a.jsonl").write_text("")
    with pytest.raises(BadInput, match="holds no test questions"):
        open_test_sets([path], "text")
    path.write_text('{"this": 1}')
    with pytest.raises(BadInput, match="rename the field"):
        open_test_sets([path], "text")


def test_the_command_counts_questions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tests, data = tmp_path / "test.jsonl", tmp_path / "data.jsonl"
    _tests(tmp_path, LONG, OTHER, "Nobody ever asked for this particular question in any data.")
    prompts = [LONG, LONG.upper(), OTHER.replace("herons.", "geese."), "What?"]
    data.write_text("\n".join(json.dumps({"question": p, "answer": "x"}) for p in prompts))
    words = ["--datasets", str(data), "--exclude", str(tests), "--show", "1"]
    assert contamination.main(words) == 0
    _, counts, shown = capsys.readouterr().out.splitlines()
    assert counts.split() == ["test.jsonl", "3", "1", "1"]
    assert shown.startswith("test.jsonl row 1 (1.00): data record 1: 'Anna has")
    with pytest.raises(BadInput, match="--exclude"):
        contamination.main(["--datasets", str(data)])


def test_a_real_case_is_found(text_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Questions of MAWPS stand in the maths data of LLM-Adapters."""
    data, test = text_data / "llm_adapters_math.jsonl.gz", text_data / "mawps_test_dev.jsonl"
    contamination.main(["--datasets", str(data), "--exclude", str(test)])
    *_, counts = capsys.readouterr().out.splitlines()
    assert counts.split()[1] == "119" and int(counts.split()[2]) > 50
