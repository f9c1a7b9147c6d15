"""Two halves that share nothing, and nothing with the test sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hone.errors import HoneError
from kb.__main__ import main
from kb.sources import find_datasets
from models.training.text_rows import read_rows

STORY = "{} has {} apples in the basket and gives {} of them to the children next door"


def questions(path: Path, numbers: range) -> Path:
    rows = [
        {"question": STORY.format("Ann", n, n + 1), "answer": f"{n} - {n + 1} #### -1"}
        for n in numbers
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def split(folder: Path, *words: object) -> tuple[list[str], list[str]]:
    assert main(["halves", *map(str, words), "--save_dir", str(folder)]) == 0
    a, b = ([row.prompt for row in read_rows(folder / f"{half}.jsonl")] for half in "ab")
    return a, b


def test_every_record_is_in_one_half_and_stays_there(tmp_path: Path) -> None:
    many = questions(tmp_path / "many.jsonl", range(100))
    a, b = split(tmp_path / "many", "--datasets", many)
    assert len(a) + len(b) == 100 and not {*a} & {*b} and min(len(a), len(b)) > 30
    few = questions(tmp_path / "few.jsonl", range(40, 60))
    fewer = split(tmp_path / "few", "--datasets", few)
    assert {*fewer[0]} <= {*a} and {*fewer[1]} <= {*b}


def test_what_stands_twice_or_in_a_test_set_is_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = questions(tmp_path / "data.jsonl", range(30))
    data.write_text(data.read_text() + data.read_text().splitlines()[0].upper().lower() + "\n")
    tests = questions(tmp_path / "tests.jsonl", range(5))
    a, b = split(tmp_path / "halves", "--datasets", data, "--exclude", tests)
    asked = {json.loads(line)["question"] for line in tests.read_text().splitlines()}
    assert len(a) + len(b) >= 20 and not asked & {*a, *b}
    assert "test question" in capsys.readouterr().out
    left_out = (tmp_path / "halves" / "left_out.jsonl").read_text()
    assert len(left_out.splitlines()) == 31 - len(a) - len(b)


def test_a_half_is_a_data_set_of_the_builder(tmp_path: Path) -> None:
    from kb.left_out import Report

    split(tmp_path / "halves", "--datasets", questions(tmp_path / "many.jsonl", range(20)))
    (half,) = find_datasets([str(tmp_path / "halves" / "b.jsonl")])
    rows = read_rows(tmp_path / "halves" / "b.jsonl")
    records = [record for _, record in half.records(Report())]
    assert [(record.prompt, record.answer) for record in records] == rows


def test_what_cannot_be_split_is_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "halves"
    for words, said in (
        ([], "no --datasets; name what to split"),
        (["--datasets", "generators:5"], "generators:5 holds ARC tasks; only text is split"),
    ):
        with pytest.raises(HoneError, match=said):
            main(["halves", *words, "--save_dir", str(folder)])
    assert not folder.exists()


def test_only_halves_are_replaced(tmp_path: Path) -> None:
    data = questions(tmp_path / "many.jsonl", range(20))
    with pytest.raises(HoneError, match="exists and holds no halves; name another folder"):
        split(tmp_path, "--datasets", data)
    assert data.is_file()
    once, again = (split(tmp_path / "halves", "--datasets", data) for _ in range(2))
    assert once == again
