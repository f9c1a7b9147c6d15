"""The data sets of CT3's knowledge base by name: from local copies, and through `datasets`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hone.errors import BadInput, HoneError, NotThere
from kb.hub import HubSet
from kb.left_out import Report
from kb.named_sets import NAMED
from kb.records import Record
from kb.sources import find_datasets

COQA = {
    "source": "mctest",
    "story": "Anna has a red hat.",
    "questions": {"input_text": ["Who?", "What colour?"], "turn_id": [1, 2]},
    "answers": {"input_text": ["Anna", "red"], "span_start": [0, 11]},
}
COQA_PROMPT = "Anna has a red hat.\n\nQ: Who?\n\nA: Anna\n\nQ: What colour?\n\nA:"
MBPP = {
    "task_id": 601,
    "text": "Write a function to add.",
    "code": "def add(a, b):\n    return a + b",
    "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"],
}
_TURNS = ("questions", "answers")
ORCA = "microsoft/orca-math-word-problems-200k"
ROWS: dict[str, tuple[dict[str, Any], str, str]] = {  # row, prompt, answer
    "EleutherAI/coqa": (COQA, COQA_PROMPT, "red"),
    "meta-math/MetaMathQA": (
        {"query": "1+1?", "response": "It is 2.", "type": "GSM", "original_question": "1+1?"},
        "1+1?",
        "It is 2.",
    ),
    ORCA: ({"question": "2+2?", "answer": "Four."}, "2+2?", "Four."),
    "math_50k": (
        {"instruction": "3+3", "input": "", "output": "It is 6.", "answer": "6"},
        "3+3",
        "It is 6.",
    ),
    "bigcode/the-stack-python": (
        {"hexsha": "0", "size": 8, "lang": "Python", "content": "print(1)"},
        "print(1)",
        "",
    ),
    "mbpp": (
        MBPP,
        '"""\nWrite a function to add.\nassert add(1, 2) == 3\n"""\n',
        "def add(a, b):\n    return a + b",
    ),
}


def _read(spelled: str) -> list[Record]:
    (dataset,) = find_datasets([spelled])
    return [record for _, record in dataset.records(Report())]


def test_every_named_set_has_a_row_here() -> None:
    assert set(NAMED) == set(ROWS)


@pytest.mark.parametrize("name", NAMED)
def test_a_local_copy_is_read_by_its_schema(tmp_path: Path, name: str) -> None:
    row, prompt, answer = ROWS[name]
    (path := tmp_path / "copy.jsonl").write_text(json.dumps(row))
    assert _read(f"{name}={path}") == [Record(name, "text", prompt, answer)]
    assert _read(str(path)) == [Record("copy", "text", prompt, answer)]  # recognised, too
    path.write_text('{"other": 1}')
    with pytest.raises(HoneError, match="line 1"):
        _read(f"{name}={path}")


def test_turns_may_lie_as_a_list(tmp_path: Path) -> None:
    turns = {key: [{"input_text": text} for text in COQA[key]["input_text"]] for key in _TURNS}
    (path := tmp_path / "coqa.json").write_text(json.dumps([COQA | turns]))
    assert _read(str(path))[0].prompt == COQA_PROMPT
    path.write_text(json.dumps([COQA | {"answers": {"input_text": ["Anna"]}}]))
    with pytest.raises(BadInput, match="2 questions and 1 answers"):
        _read(str(path))


def test_of_a_copied_repository_the_training_split_is_read(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (folder := tmp_path / "full").mkdir(exist_ok=True)
        (tmp_path / "sanitized").mkdir(exist_ok=True)  # the same in another form
        (tmp_path / "sanitized" / f"{split}.jsonl").write_text('{"prompt": "x", "code": "y"}')
        text = json.dumps(MBPP | {"text": f"from {split}"})
        (folder / f"{split}-00000-of-00001.jsonl").write_text(text)
    (record,) = _read(f"mbpp={tmp_path}")
    assert "from train" in record.prompt
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(NotThere, match="holds no"):
        _read(f"mbpp={empty}")
    (notes := tmp_path / "notes.txt").write_text("x")
    with pytest.raises(BadInput, match="was expected"):
        _read(f"mbpp={notes}")


def test_a_sample_of_any_text(tmp_path: Path) -> None:
    path = tmp_path / "code.jsonl"
    path.write_text("\n".join(json.dumps({"content": f"print({i})"}) for i in range(50)))
    every = _read(str(path))
    for spelled in (f"{path}:7:3", f"bigcode/the-stack-python:7:3={path}"):
        drawn = [record.prompt for record in _read(spelled)]
        assert len(drawn) == 7 and set(drawn) <= {record.prompt for record in every}
    assert len(_read(f"bigcode/the-stack-python={path}")) == 50  # of up to 600,000
    assert find_datasets([f"{path}:7"])[0].expected() == 7
    with pytest.raises(BadInput, match="asks for no rows"):
        _read(f"{path}:0")
    (tasks := tmp_path / "tasks").mkdir()
    with pytest.raises(BadInput, match="only text is sampled"):
        _read(f"{tasks}:5")


def _repository(folder: Path, name: str, rows: list[dict[str, Any]]) -> HubSet:
    """A folder that `datasets` opens like a repository of that name on the hub."""
    known = NAMED[name].hub
    assert known is not None
    inside = known.data_dir or known.config or "data"
    (folder / inside).mkdir(parents=True)
    (folder / inside / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    if known.config:
        files = f"[{{split: train, path: {inside}/train.jsonl}}]"
        told = f"---\nconfigs: [{{config_name: {known.config}, data_files: {files}}}]\n---\n"
        (folder / "README.md").write_text(told)
    return HubSet(str(folder), known.config, known.data_dir)


@pytest.mark.filterwarnings("default")  # of libraries below
@pytest.mark.parametrize("name", [name for name, known in NAMED.items() if known.hub])
def test_the_hub_is_read_by_streaming(tmp_path: Path, name: str) -> None:
    pytest.importorskip("datasets", reason="the extra hub is not installed")
    row, prompt, answer = ROWS[name]
    hub = _repository(tmp_path / "repository", name, [row] * 3)
    rows = [row for _, row in hub.rows(None)]
    assert [NAMED[name].schema.read(row, "") for row in rows] == [(prompt, answer)] * 3
    if NAMED[name].sample:
        assert len([row for _, row in hub.rows(NAMED[name].sample)]) == 3


def test_a_hub_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="the extra hub is not installed")
    with pytest.raises(NotThere, match=r"cannot be read from the hub.*NAME=PATH"):
        list(HubSet(str(tmp_path / "nothing")).rows(None))


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(NotThere, match=r"--extras hub.*NAME=PATH"):
        _read("mbpp")


def test_math_50k_is_a_local_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotThere, match=r"math_50k is read from math_50k\.json.*math_50k=PATH"):
        _read("math_50k")
