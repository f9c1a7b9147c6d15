"""Reading tasks and pairs: every kind of file, and one line for every fault."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from arc.grid import spell
from arc.readers import read_pairs, read_task, read_tasks
from hone.errors import BadInput, Damaged, HoneError, NotThere

TASK = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]}


def put(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def zipped(path: Path, *lines: str) -> Path:
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_a_task_file(tmp_path: Path) -> None:
    file = put(tmp_path / "abc.json", TASK)
    assert read_task(file).id == "abc"
    assert read_tasks(file) == [read_task(str(file))]


def test_a_folder_is_read_in_order_and_hidden_files_are_not(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", "._a.json", "notes.txt"):
        put(tmp_path / name, TASK)
    assert [task.id for task in read_tasks(tmp_path)] == ["a", "b"]


def test_challenges_without_solutions(tmp_path: Path) -> None:
    file = put(tmp_path / "eval_challenges.json", {"one": TASK, "two": TASK})
    assert [(task.id, task.test[0].output) for task in read_tasks(file)] == [
        ("one", None),
        ("two", None),
    ]


def test_solutions_beside_challenges_are_joined(tmp_path: Path) -> None:
    file = put(tmp_path / "eval_challenges.json", {"one": TASK})
    put(tmp_path / "eval_solutions.json", {"one": [[[4]]]})
    for path in (file, tmp_path):
        answer = read_tasks(path)[0].test[0].output
        assert answer is not None and spell(answer) == "4"


def test_a_challenge_without_a_solution_has_unknown_outputs(tmp_path: Path) -> None:
    put(tmp_path / "eval_challenges.json", {"one": TASK, "two": TASK})
    put(tmp_path / "eval_solutions.json", {"two": [[[4]]]})
    known = {task.id: task.test[0].output is not None for task in read_tasks(tmp_path)}
    assert known == {"one": False, "two": True}


@pytest.mark.parametrize(
    ("solutions", "said"),
    [
        ({"one": None}, "eval_solutions.json: task one: a list of 1 grids was expected"),
        ({"one": [[[1]], [[1]]]}, "a list of 1 grids was expected"),
        ({"one": [[[1, 10]]]}, "task one answer 0: cell (row 0, column 1) is 10"),
        ([], "eval_solutions.json: a list of grids for every task id was expected"),
    ],
)
def test_solutions_that_do_not_fit(tmp_path: Path, solutions: Any, said: str) -> None:
    file = put(tmp_path / "eval_challenges.json", {"one": TASK})
    put(tmp_path / "eval_solutions.json", solutions)
    with pytest.raises(BadInput) as caught:
        read_tasks(file)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("{", Damaged, "is not JSON"),
        ("\x00", Damaged, "is not JSON"),
        ("[" * 100_000, Damaged, "is not JSON"),
        ("9" * 5000, Damaged, "is not JSON"),
        ("[]", BadInput, 'a task is an object with "train" and "test"'),
        ("{}", BadInput, 'a task is an object with "train" and "test"'),
        ('{"train": []}', BadInput, 'a task is an object with "train" and "test"'),
        ('{"one": {"train": []}}', BadInput, 'task one: a task is an object with "train"'),
        (
            '{"train": [{"input": [[1], [2, 3]], "output": [[1]]}], "test": []}',
            BadInput,
            "bad.json: train pair 0 input: row 1 has 2 cells",
        ),
        ('{"train": [{"input": [[NaN]], "output": [[1]]}], "test": []}', BadInput, "is nan"),
    ],
)
def test_a_bad_file_is_one_line(
    tmp_path: Path, text: str, kind: type[HoneError], said: str
) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text)
    for path in (file, tmp_path):
        with pytest.raises(kind) as caught:
            read_tasks(path)
        assert said in str(caught.value)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_broken_files_and_tasks_can_be_left_out_and_told_of(tmp_path: Path) -> None:
    put(tmp_path / "good.json", TASK)
    (tmp_path / "empty.json").touch()
    (tmp_path / "folder.json").mkdir()
    put(tmp_path / "x_challenges.json", {"one": TASK, "two": {"train": [], "test": []}})
    put(tmp_path / "x_solutions.json", {"one": [[[4]]]})
    broken: list[str] = []
    tasks = read_tasks(tmp_path, broken=broken.append)
    assert [task.id for task in tasks] == ["good", "one"]
    assert [line.partition(".json")[0].rpartition("/")[2] for line in broken] == [
        "empty",
        "folder",
        "x_challenges",
    ]
    assert "empty.json is not JSON" in broken[0] and "task two: train is empty" in broken[2]
    with pytest.raises(Damaged, match=r"empty\.json is not JSON"):
        read_tasks(tmp_path / "empty.json", broken=broken.append)


def test_an_id_that_stands_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    file, task = tmp_path / "x_challenges.json", json.dumps(TASK)
    file.write_text(f'{{"one": {task}, "one": {task}}}')
    with pytest.raises(Damaged, match="'one' occurs twice"):
        read_tasks(file)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match=r"no file .*nowhere; check the path"):
        read_tasks(tmp_path / "nowhere")
    with pytest.raises(NotThere, match=r"holds no \*.json task files; check the path"):
        read_tasks(tmp_path)
    (tmp_path / "arc1").mkdir()
    with pytest.raises(NotThere, match="name one of its folders: arc1"):
        read_tasks(tmp_path)
    file = put(tmp_path / "abc.json", TASK)
    with pytest.raises(NotThere, match="cannot read"):
        read_tasks(file / "inside.json")


def test_one_task_was_expected(tmp_path: Path) -> None:
    file = put(tmp_path / "x_challenges.json", {"one": TASK, "two": TASK})
    with pytest.raises(BadInput, match="holds 2 tasks by id"):
        read_task(file)
    alone = put(tmp_path / "y_solutions.json", {"one": [[[1]]]})
    with pytest.raises(BadInput, match="answers without tasks"):
        read_tasks(alone)


def test_pairs(tmp_path: Path) -> None:
    file = zipped(tmp_path / "p.jsonl.gz", '{"id": "a", "pairs": [["012/340", "0"]]}', "", "")
    (found,) = read_pairs(file)
    assert found.id == "a"
    assert [spell(cells) for pair in found.pairs for cells in (pair.input, pair.output)] == [
        "012/340",
        "0",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 is not JSON"),
        ('"a"', 'line 2: an object with "id" and "pairs"'),
        ('{"pairs": []}', 'line 2: an object with "id" and "pairs"'),
        ('{"id": "a"}', 'line 2: "pairs" is missing, empty or not a list'),
        ('{"id": "a", "pairs": [["0"]]}', "line 2: pair 0: two grids"),
        ('{"id": "a", "pairs": [["0", [[1]]]]}', "line 2: pair 0: two grids"),
        (
            '{"id": "a", "pairs": [["0", "1"], ["0", "0/1-"]]}',
            "line 2: pair 1 output: cell (row 1, column 1) is '-'",
        ),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    file = zipped(tmp_path / "p.jsonl.gz", '{"id": "a", "pairs": [["0", "1"]]}', line)
    with pytest.raises((BadInput, Damaged)) as caught:
        list(read_pairs(file))
    assert said in str(caught.value)


def test_bad_pairs_can_be_left_out_and_told_of(tmp_path: Path) -> None:
    file = zipped(tmp_path / "p.jsonl.gz", '{"id": "a", "pairs": [["0", "-1"], ["0", "1"]]}')
    refused: list[str] = []
    (found,) = read_pairs(file, refused=refused.append)
    assert len(found.pairs) == 1
    assert len(refused) == 1 and "line 1: pair 0 output" in refused[0]


def test_broken_lines_can_be_left_out_and_told_of(tmp_path: Path) -> None:
    good = '{"id": "a", "pairs": [["0", "1"]]}'
    file = zipped(tmp_path / "p.jsonl.gz", good, "{", '{"id": "a", "pairs": [["0"]]}', good)
    broken: list[str] = []
    assert len(list(read_pairs(file, broken=broken.append))) == 2
    assert "line 2 is not JSON" in broken[0] and "line 3: pair 0: two grids" in broken[1]


def test_a_pair_file_that_is_damaged_or_missing(tmp_path: Path) -> None:
    plain = tmp_path / "plain.jsonl.gz"
    plain.write_text("{}")
    with pytest.raises(Damaged, match="not a gzip file"):
        list(read_pairs(plain))
    cut = zipped(tmp_path / "cut.jsonl.gz", *['{"id": "a", "pairs": [["0", "1"]]}'] * 1000)
    cut.write_bytes(cut.read_bytes()[:-20])
    with pytest.raises(Damaged, match="breaks off after line"):
        list(read_pairs(cut))
    with pytest.raises(NotThere, match="cannot read"):
        list(read_pairs(tmp_path / "nowhere.jsonl.gz"))


def test_all_real_tasks_are_read(arc_data: Path) -> None:
    counts = {
        f"{kind}/{folder.name}": len(read_tasks(folder))
        for kind in ("training", "evaluation_dev")
        for folder in sorted((arc_data / kind).iterdir())
    }
    assert counts["training/arc1"] == 399
    assert sum(counts.values()) == 1756


def test_all_real_pairs_are_read(arc_data: Path) -> None:
    refused: list[str] = []
    found = read_pairs(arc_data / "generated" / "re_arc.jsonl.gz", refused=refused.append)
    assert sum(len(pairs.pairs) for pairs in found) == 79_800 - 6
    assert all("line 109" in line for line in refused) and len(refused) == 6
