"""Data sets by name: every form is read whole, every fault is one line that says where."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from arc.generators import FAMILIES, held_out_families, sample_task
from arc.task import task_to_json
from hone.errors import BadInput, Damaged, HoneError, NotThere
from kb.intake import Intake
from kb.left_out import Report, Why
from kb.records import Record, record_of_task, spelled, task_of
from kb.schemas import named_schema
from kb.sources import find_datasets


def _read(
    *names: object, prompt: str | None = None, answer: str | None = None
) -> tuple[list[Record], dict[Why, int]]:
    """The records that are taken, and how many were left out for which reason."""
    report = Report()
    datasets = find_datasets([str(name) for name in names], named_schema(prompt, answer))
    records = [taken.record for taken in Intake(report).taken(None, datasets)]
    return records, report.totals()


def _jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_generators_draw_training_families_only() -> None:
    records, _ = _read("generators:80:3")
    assert len(records) == 80 and {record.source for record in records} == {"generators:80:3"}
    assert records == _read("generators:80:3")[0]
    assert records != _read("generators:80:4")[0]
    kept_out = {
        record_of_task(sample_task(family, 3_000_000 + i), "generators:80:3")
        for family in held_out_families()
        for i in range(5)
    }
    assert kept_out and not kept_out & set(records)


def test_a_record_gives_its_task_back() -> None:
    for family in FAMILIES.values():
        task = sample_task(family, 1)
        record = record_of_task(task, "here")
        assert record is not None and '"output"' not in record.prompt.split('"test"')[1]
        assert task_to_json(task_of(record, task.id)) == task_to_json(task)


def test_a_record_that_spells_no_task_is_damage() -> None:
    for prompt, answer in (("{}", "[]"), ("no", "[]"), ('{"train":[],"test":[]}', "[[[1]]]")):
        with pytest.raises(Damaged, match="record 7"):
            task_of(Record("s", "arc", prompt, answer), "7")


def test_arc_folders_and_kaggle_files(tmp_path: Path) -> None:
    tasks = [sample_task(family, 1) for family in list(FAMILIES.values())[:4]]
    (folder := tmp_path / "training").mkdir()
    for i, task in enumerate(tasks):
        (folder / f"{i}.json").write_text(json.dumps(task_to_json(task)))
    open_task = task_to_json(tasks[0].without_answers())
    (folder / "unanswered.json").write_text(json.dumps(open_task))
    kaggle = tmp_path / "some_challenges.json"
    kaggle.write_text(json.dumps({t.id: task_to_json(t.without_answers()) for t in tasks}))
    outputs = {t.id: [p["output"] for p in task_to_json(t)["test"]] for t in tasks}
    (tmp_path / "some_solutions.json").write_text(json.dumps(outputs))

    records, left_out = _read(folder)
    assert [task_to_json(task_of(r, "")) for r in records] == [task_to_json(t) for t in tasks]
    assert {r.source for r in records} == {"training"} and left_out == {"no answer": 1}
    both, left_out = _read(folder, kaggle)
    assert both == records and left_out == {"exact duplicate": 4, "no answer": 1}
    assert _read(folder / "0.json")[0][0].prompt == records[0].prompt


@pytest.mark.parametrize(
    ("row", "prompt", "answer"),
    [
        ({"instruction": "do", "input": "", "output": "done", "answer": "d"}, "do", "done"),
        ({"instruction": "do", "input": "this", "output": "done"}, "do\nthis", "done"),
        ({"instruction": "do", "output": "", "answer": 4.5}, "do", "4.5"),
        ({"question": "why", "answer": 3}, "why", "3"),
        ({"prompt": "p", "completion": "c", "id": 1}, "p", "c"),
        ({"text": "long ago\u0000é"}, "long ago\u0000é", ""),
    ],
)
def test_fields_are_recognised(tmp_path: Path, row: Any, prompt: str, answer: str) -> None:
    plain = _jsonl(tmp_path / "a.b.jsonl", row)
    (packed := tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (listed := tmp_path / "a.json").write_text(json.dumps([row]))
    for path in (plain, packed, listed):
        assert _read(path)[0] == [Record("a", "text", prompt, answer)]


def test_fields_by_name(tmp_path: Path) -> None:
    path = _jsonl(tmp_path / "x.jsonl", {"q": "one", "a": "1"}, {"q": "two", "a": "2"})
    assert [(r.prompt, r.answer) for r in _read(path, prompt="q", answer="a")[0]] == [
        ("one", "1"),
        ("two", "2"),
    ]
    assert _read(path, prompt="q")[0][0].answer == ""
    with pytest.raises(BadInput, match="--prompt_field"):
        _read(path, answer="a")
    with pytest.raises(BadInput, match=r'line 1 has no "z", it has q, a'):
        _read(path, prompt="z", answer="a")


def test_math_50k_lies_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotThere, match=r"math_50k\.json"):
        _read("math_50k")
    rows = [{"instruction": "1+1", "input": "", "output": "It is 2.", "answer": "2"}]
    Path("math_50k.json").write_text(json.dumps(rows))
    assert _read("math_50k")[0] == [Record("math_50k", "text", "1+1", "It is 2.")]


def test_exact_duplicates_are_dropped_across_sources(tmp_path: Path) -> None:
    one = _jsonl(tmp_path / "one.jsonl", *[{"question": "a", "answer": "b"}] * 3)
    two = _jsonl(
        tmp_path / "two.jsonl", {"question": "a", "answer": "b"}, {"question": "a", "answer": "c"}
    )
    records, left_out = _read(one, two)
    assert [(r.source, r.answer) for r in records] == [("one", "b"), ("two", "c")]
    assert left_out == {"exact duplicate": 3}
    assert spelled("ab", "c") != spelled("a", "bc")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"question": "a", "answer": "b"}\n{"question', "line 2 is not JSON"),
        ('{"question": "a", "answer": "b"}\n\n{"question": " ", "answer": "b"}', "line 3.*empty"),
        ('{"question": "a", "answer": "b"}\n{"question": "a"}', 'line 2 has no "answer"'),
        ('{"question": 3, "answer": "b"}\n{"question": [], "answer": "b"}', "line 2.*is list"),
        ('{"question": "a", "answer": null}', "NoneType, text was expected"),
        ('{"question": "\\ud800", "answer": "b"}', "half of a surrogate pair"),
        ('{"this": 1, "that": 2}', "line 1 has this, that; known are: instruction/output"),
        ("[1, 2]", "line 1 has list"),
        ("", "holds no records"),
        ("\xff", "line 1 is not JSON"),
    ],
)
def test_faults_in_text_are_named_by_line(tmp_path: Path, content: str, says: str) -> None:
    (path := tmp_path / "bad.jsonl").write_bytes(content.encode("latin-1"))
    with pytest.raises(HoneError, match=says) as caught:
        _read(path)
    assert str(path) in str(caught.value)


def test_broken_files_are_named(tmp_path: Path) -> None:
    whole = gzip.compress(json.dumps({"text": "a" * 9999}).encode() * 50)
    (cut := tmp_path / "cut.jsonl.gz").write_bytes(whole[:-30])
    with pytest.raises(Damaged, match="breaks off"):
        _read(cut)
    (fake := tmp_path / "fake.jsonl.gz").write_bytes(b"{}")
    with pytest.raises(Damaged, match="not a gzip file"):
        _read(fake)
    (broken := tmp_path / "broken.json").write_text('[{"text": "a"},')
    with pytest.raises(Damaged, match="line 1"):
        _read(broken)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotThere, match="holds no"):
        _read(tmp_path / "empty")


def test_names_that_are_nothing_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no data set 'nothing'; there are: generators"):
        _read("nothing")
    for name in ("generators:0", "generators:x", "generators:1:2:3", "generators:-1"):
        with pytest.raises(BadInput, match="generators"):
            _read(name)
    (other := tmp_path / "a.txt").write_text("a")
    with pytest.raises(BadInput, match="was expected"):
        _read(other)


def test_kinds_and_names_are_settled_before_reading(tmp_path: Path) -> None:
    text = _jsonl(tmp_path / "x.jsonl", {"text": "a"})
    with pytest.raises(BadInput, match="build two"):
        _read("generators:1", text)
    with pytest.raises(BadInput, match="two data sets are called x"):
        _read(text, text)


def test_real_text_is_read(text_data: Path) -> None:
    names = ("gsm8k_test_dev.jsonl", "mawps_test_dev.jsonl")
    records, left_out = _read(*(text_data / name for name in names))
    assert len(records) + left_out.get("exact duplicate", 0) == 660 + 119
    assert all(record.answer for record in records)


def test_real_arc_is_read(arc_data: Path) -> None:
    records, left_out = _read(arc_data / "training" / "arc1")
    assert len(records) == 399 and left_out == {}
