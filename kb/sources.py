"""Data sets by name, as streams of records.

generators:2000:7            2000 tasks of our own training families, seed 7
data/training                ARC: a folder of tasks, a task file, Kaggle's challenges
data/gsm8k.jsonl.gz          text: .json, .jsonl, .jsonl.gz
math_50k                     math_50k.json in the working folder
"""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.errors import BadInput, Damaged, NotThere
from hone.files import read_json
from kb.records import Kind, Record, record_of_task

GENERATORS = "generators"
GENERATED = 1000  # tasks, where no count is given
NOT_YET = (
    "EleutherAI/coqa",
    "meta-math/MetaMathQA",
    "microsoft/orca-math-word-problems-200k",
    "bigcode/the-stack-python",
    "mbpp",
)
_KNOWN_FIELDS = (  # prompt, answer (None: the text is all there is)
    ("instruction", "output"),
    ("question", "answer"),
    ("prompt", "completion"),
    ("text", None),
)


@dataclass
class Tally:
    """What was read and left out."""

    without_answer: int = 0
    duplicates: int = 0


@dataclass(frozen=True)
class Fields:
    prompt: str
    answer: str | None

    def __str__(self) -> str:
        return self.prompt if self.answer is None else f"{self.prompt}/{self.answer}"


@dataclass(frozen=True)
class Dataset:
    """A data set that was named: its kind, the name its records bear, and where it lies."""

    kind: Kind
    source: str
    spelled: str
    path: Path | None = None  # None: drawn by our generators


def find_datasets(names: Iterable[str]) -> list[Dataset]:
    """Each name looked up, before anything is read at length; all are of one kind."""
    found = [_find(name) for name in names]
    if not found:
        raise BadInput("no data sets; name some with --datasets")
    for dataset in found:
        if [other.source for other in found].count(dataset.source) > 1:
            raise BadInput(
                f"two data sets are called {dataset.source}; give them different file names"
            )
    if len({dataset.kind for dataset in found}) > 1:
        by_kind = "; ".join(f"{d.spelled} is {d.kind}" for d in found)
        raise BadInput(f"one knowledge base is for one kind: {by_kind}; build two")
    return found


def read_records(
    datasets: Iterable[Dataset], fields: Fields | None, tally: Tally
) -> Iterator[Record]:
    """All records in order, exact duplicates dropped."""
    seen: set[bytes] = set()
    for dataset in datasets:
        for record in _records(dataset, fields, tally):
            if (digest := record.digest()) in seen:
                tally.duplicates += 1
                continue
            seen.add(digest)
            yield record


def chosen_fields(prompt_field: str | None, answer_field: str | None) -> Fields | None:
    """The fields a user named; None where each file's own are to be recognised."""
    if prompt_field is None and answer_field is not None:
        raise BadInput("--answer_field needs --prompt_field; name both")
    return None if prompt_field is None else Fields(prompt_field, answer_field)


def _find(name: str) -> Dataset:
    if name == GENERATORS or name.startswith(f"{GENERATORS}:"):
        _count_and_seed(name)
        return Dataset("arc", name, name)
    path = Path("math_50k.json") if name == "math_50k" else Path(name)
    if path.is_dir():
        return Dataset("arc", path.resolve().name, name, path)
    if path.is_file():
        return Dataset(_kind_of(path), path.name.split(".")[0], name, path)
    if name == "math_50k":
        raise NotThere("math_50k is read from math_50k.json in the working folder; put it there")
    if name in NOT_YET:
        raise BadInput(f"{name} is not read by name yet; pass it as a local .jsonl file")
    raise BadInput(
        f"no data set {name!r}; there are: {GENERATORS}[:COUNT[:SEED]], math_50k, a folder or"
        " file of ARC tasks, a .json, .jsonl or .jsonl.gz file of text"
    )


def _kind_of(path: Path) -> Kind:
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return "text"
    if path.suffix != ".json":
        raise BadInput(f"{path}: a .json, .jsonl or .jsonl.gz file was expected")
    with path.open("rb") as file:
        head = file.read(64).lstrip()
    return "text" if head.startswith(b"[") else "arc"  # an ARC file is an object


def _records(dataset: Dataset, fields: Fields | None, tally: Tally) -> Iterator[Record]:
    if dataset.kind == "arc":
        return _arc_records(dataset, tally)
    return _text_records(dataset, fields)


def _arc_records(dataset: Dataset, tally: Tally) -> Iterator[Record]:
    from arc.readers import read_tasks

    tasks = _generated(dataset.spelled) if dataset.path is None else read_tasks(dataset.path)
    for task in tasks:
        record = record_of_task(task, dataset.source)
        if record is None:
            tally.without_answer += 1
        else:
            yield record


def _generated(name: str) -> Iterator[Any]:
    """Families by turns; held-out families never, since they measure."""
    from arc.generators import sample_task, training_families

    count, seed = _count_and_seed(name)
    families = list(training_families())
    for i in range(count):
        number, chosen = divmod(i, len(families))
        yield sample_task(families[chosen], seed * 1_000_000 + number)


def _count_and_seed(name: str) -> tuple[int, int]:
    _, *rest = name.split(":")
    if len(rest) > 2 or not all(part.isascii() and part.isdigit() for part in rest):
        raise BadInput(f"{name!r}: {GENERATORS}:COUNT or {GENERATORS}:COUNT:SEED was expected")
    count, seed = (*map(int, rest), *(GENERATED, 0)[len(rest) :])
    if count < 1:
        raise BadInput(f"{name!r} asks for no tasks; COUNT is at least 1")
    return count, seed


def _text_records(dataset: Dataset, fields: Fields | None) -> Iterator[Record]:
    path = dataset.path
    assert path is not None  # only generators have none
    rows = _json_rows(path) if path.suffix == ".json" else _lines(path)
    first = next(rows, None)
    if first is None:
        raise BadInput(f"{path} holds no records")
    chosen = fields or _recognised(first[1], first[0])
    for where, row in itertools.chain([first], rows):
        prompt, answer = _prompt(row, chosen, where), _answer(row, chosen, where)
        yield Record(dataset.source, "text", prompt, answer)


def _json_rows(path: Path) -> Iterator[tuple[str, Any]]:
    content = read_json(path)
    for i, row in enumerate(content):
        yield f"{path} record {i + 1}", row


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                number += 1
                if line.strip():
                    yield f"{path} line {number}", _json_line(line, f"{path} line {number}")
    except gzip.BadGzipFile:
        raise Damaged(f"{path} is not a gzip file; unpack or rename it") from None
    except (EOFError, zlib.error):
        raise Damaged(f"{path} breaks off after line {number}; fetch or write it again") from None


def _json_line(line: bytes, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{where} is not JSON: {error}; mend or remove the line") from None


def _recognised(row: Any, where: str) -> Fields:
    names = row.keys() if isinstance(row, dict) else ()
    for prompt, answer in _KNOWN_FIELDS:
        if prompt in names and (answer is None or answer in names):
            return Fields(prompt, answer)
    known = ", ".join(str(Fields(*pair)) for pair in _KNOWN_FIELDS)
    held = ", ".join(map(str, names)) or type(row).__name__
    raise BadInput(
        f"{where} has {held}; known are: {known}; name others with --prompt_field, --answer_field"
    )


def _prompt(row: Any, fields: Fields, where: str) -> str:
    prompt = _text(row, fields.prompt, where)
    if fields.prompt == "instruction" and row.get("input"):
        prompt = f"{prompt}\n{_text(row, 'input', where)}"
    if not prompt.strip():
        raise BadInput(f'{where}: "{fields.prompt}" is empty; fill or remove the record')
    return prompt


def _answer(row: Any, fields: Fields, where: str) -> str:
    if fields.answer is None:
        return ""
    answer = _text(row, fields.answer, where)
    if not answer.strip() and fields.answer == "output" and "answer" in row:
        return _text(row, "answer", where)  # some files of this form hold the bare result only
    return answer


def _text(row: Any, field: str, where: str) -> str:
    if not isinstance(row, dict) or field not in row:
        held = ", ".join(map(str, row)) if isinstance(row, dict) else type(row).__name__
        raise BadInput(f'{where} has no "{field}", it has {held}')
    value = row[field]
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise BadInput(f'{where}: "{field}" is {type(value).__name__}, text was expected')
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadInput(f'{where}: "{field}" holds half of a character pair; mend it') from None
    return value
