"""Tasks and pairs from files: one task, a folder of tasks, Kaggle's challenges, generated pairs.

    read_tasks("data/training")                            a folder of task files
    read_tasks("data/arc-agi_evaluation_challenges.json")  solutions beside it are joined
    read_pairs("data/generated/re_arc.jsonl.gz")           {"id", "pairs": [["012/340", "0/1"]]}

The content of a file decides what kind it is. The first fault ends in one line that names the file,
the pair and the cell.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from arc.grid import grid, unspell
from arc.task import Pair, Task, task_from_json
from hone.errors import BadInput, Damaged, HoneError, NotThere
from hone.files import read_json

Thing = TypeVar("Thing")
_CHALLENGES, _SOLUTIONS = "_challenges.json", "_solutions.json"


@dataclass(frozen=True)
class PairSet:
    """Further examples of one task's rule."""

    id: str
    pairs: tuple[Pair, ...]


def read_task(path: Path | str) -> Task:
    """The one task in the file `path`; its id is the file's name."""
    return _task_in(Path(path), read_json(Path(path), unique=True))


def read_tasks(path: Path | str, *, broken: Callable[[str], None] | None = None) -> list[Task]:
    """All tasks in a task file, a folder of task files, or a challenges file.

    With `broken`, files of a folder and tasks of a challenges file that cannot be read are left
    out, and `broken` is called with the line about each.
    """
    path = Path(path)
    if not path.is_dir():
        return _tasks_in(path, broken)
    readers = [partial(_tasks_in, file, broken) for file in _task_files(path)]
    return [task for tasks in _readable(readers, broken) for task in tasks]


def read_pairs(
    path: Path | str,
    *,
    refused: Callable[[str], None] | None = None,
    broken: Callable[[str], None] | None = None,
) -> Iterator[PairSet]:
    """The pair sets of a `*.jsonl.gz` file, a line at a time.

    With `refused`, pairs that are not grids are left out, and it is called with the line about
    each: generated files are large, and re-arc is known to write a few cells of -1. With `broken`,
    lines that hold no pair set are left out too, and it is called with the line about each.
    """
    path = Path(path)
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            yield _pair_set(line, f"{path} line {number}", refused)
        except (BadInput, Damaged) as error:
            if broken is None:
                raise
            broken(str(error))


def _task_files(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.glob("*.json") if not file.name.startswith("."))
    if files:
        names = {file.name for file in files}
        return [file for file in files if not _is_joined(file.name, names)]
    inside = sorted(file.name for file in folder.iterdir() if file.is_dir())
    hint = f"name one of its folders: {', '.join(inside)}" if inside else "check the path"
    raise NotThere(f"{folder} holds no *.json task files; {hint}")


def _is_joined(name: str, beside: set[str]) -> bool:
    """Whether the file holds solutions that are read with the challenges beside it."""
    challenges = name.removesuffix(_SOLUTIONS) + _CHALLENGES
    return name.endswith(_SOLUTIONS) and challenges in beside


def _tasks_in(path: Path, broken: Callable[[str], None] | None = None) -> list[Task]:
    content = read_json(path, unique=True)
    if not _is_challenges(content):
        return [_task_in(path, content)]
    solutions = _solutions_of(path)
    readers = [partial(_challenge, path, key, value, solutions) for key, value in content.items()]
    return list(_readable(readers, broken))


def _readable(
    readers: Iterable[Callable[[], Thing]], broken: Callable[[str], None] | None
) -> Iterator[Thing]:
    for read in readers:
        try:
            found = read()
        except HoneError as error:
            if broken is None:
                raise
            broken(str(error))
        else:
            yield found


def _is_challenges(content: Any) -> bool:
    if not isinstance(content, dict) or not content or {"train", "test"} & content.keys():
        return False
    return all(isinstance(value, dict) for value in content.values())


def _task_in(path: Path, content: Any) -> Task:
    if _is_challenges(content):
        raise BadInput(f"{path} holds {len(content)} tasks by id; one task was expected")
    if path.name.endswith(_SOLUTIONS) and isinstance(content, dict) and "train" not in content:
        raise BadInput(f"{path} holds answers without tasks; name the file *{_CHALLENGES}")
    return task_from_json(content, path.stem, str(path))


def _solutions_of(path: Path) -> dict[str, Any] | None:
    if not path.name.endswith(_CHALLENGES):
        return None
    beside = path.with_name(path.name.removesuffix(_CHALLENGES) + _SOLUTIONS)
    if not beside.exists():
        return None
    content = read_json(beside, unique=True)
    if not isinstance(content, dict):
        raise BadInput(f"{beside}: a list of grids for every task id was expected")
    return content


def _challenge(path: Path, key: str, value: Any, solutions: dict[str, Any] | None) -> Task:
    task = task_from_json(value, key, f"{path}: task {key}")
    if solutions is None or key not in solutions:
        return task  # answered, but not scored
    where = f"{path.name.removesuffix(_CHALLENGES)}{_SOLUTIONS}: task {key}"
    answers = solutions[key]
    if not isinstance(answers, list) or len(answers) != len(task.test):
        raise BadInput(f"{where}: a list of {len(task.test)} grids was expected, one a test input")
    test = tuple(
        Pair(pair.input, grid(answer, f"{where} answer {i}"))
        for i, (pair, answer) in enumerate(zip(task.test, answers, strict=True))
    )
    return dataclasses.replace(task, test=test)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with gzip.open(path) as file:
            for line in file:
                number += 1
                yield number, line
    except gzip.BadGzipFile:
        raise Damaged(f"{path} is not a gzip file; a *.jsonl.gz file was expected") from None
    except (EOFError, zlib.error):
        raise Damaged(f"{path} breaks off after line {number}; fetch or write it again") from None
    except OSError as error:
        raise NotThere(f"cannot read {path}: {error.strerror}; check the path") from None


def _pair_set(line: bytes, where: str, refused: Callable[[str], None] | None) -> PairSet:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{where} is not JSON: {error}; mend or remove the line") from None
    if not isinstance(content, dict) or not isinstance(content.get("id"), str):
        raise BadInput(f'{where}: an object with "id" and "pairs" was expected')
    pairs = content.get("pairs")
    if not isinstance(pairs, list) or not pairs:
        raise BadInput(f'{where}: "pairs" is missing, empty or not a list')
    return PairSet(content["id"], tuple(_good(pairs, where, refused)))


def _good(pairs: list[Any], where: str, refused: Callable[[str], None] | None) -> Iterator[Pair]:
    for i, pair in enumerate(pairs):
        try:
            yield _pair(pair, f"{where}: pair {i}")
        except BadInput as error:
            if refused is None:
                raise
            refused(str(error))


def _pair(value: Any, where: str) -> Pair:
    if not isinstance(value, list) or [type(part) for part in value] != [str, str]:
        raise BadInput(f'{where}: two grids spelled like "012/340" were expected')
    return Pair(unspell(value[0], f"{where} input"), unspell(value[1], f"{where} output"))
