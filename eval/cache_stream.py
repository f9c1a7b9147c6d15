"""Reads a stream of queries, recorded or from a file, for replays of the adapter store.

read_stream(Path("runs/client"))       # queries that client/client.py was asked, from its traces
read_stream(Path("questions.jsonl"))   # texts, in any schema that a knowledge base is made from
read_stream(Path("data/training"))     # ARC tasks
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.errors import BadInput, NotThere

if TYPE_CHECKING:
    from arc.task import Task
    from models.embedder import Query

_TRACE = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}\.json")


@dataclass(frozen=True)
class Asked:
    query: Query
    answer: str | None = None  # answer to a text, if it is known
    seconds: float | None = None  # training time, if it was recorded

    @property
    def kind(self) -> str:
        return "text" if isinstance(self.query, str) else "arc"


def read_stream(path: Path, most: int = 0) -> list[Asked]:
    """The first `most` queries; 0: all."""
    if traces := _traces(path):
        stream = [asked for file in traces for asked in _recorded(file)]
    elif path.name.removesuffix(".gz").endswith(".jsonl"):
        stream = _texts(path)
    else:
        from arc.readers import read_tasks

        stream = [Asked(task) for task in read_tasks(path)]
    if len(stream) < 2:
        raise BadInput(f"{path} holds {len(stream)} queries; a stream needs at least two")
    if len({one.kind for one in stream}) > 1:
        raise BadInput(f"{path} holds queries of texts and of ARC tasks; put them in two folders")
    return stream[:most] if most else stream


def kind_of(stream: Sequence[Asked]) -> str:
    return stream[0].kind


def _traces(path: Path) -> list[Path]:
    """The client's traces in a folder, oldest first. A folder without any holds tasks."""
    files = path.iterdir() if path.is_dir() else []
    return sorted(file for file in files if _TRACE.fullmatch(file.name))


def _recorded(file: Path) -> list[Asked]:
    from hone.files import read_json

    told = read_json(file)
    answers = told.get("answers", [])
    tasks = {} if all("query" in one for one in answers) else _tasks_of(file, told)
    return [
        Asked(tasks.get(one.get("id")) or one["query"], seconds=_training_seconds(one["trace"]))
        for one in answers
    ]


def _tasks_of(file: Path, told: dict[str, Any]) -> dict[str, Task]:
    """The tasks of a trace, by id. A trace does not contain them, so they are read from where they
    were read then."""
    from arc.readers import read_tasks

    where = Path(told["settings"]["task"])
    if not where.exists():
        raise NotThere(f"{file} is about tasks of {where}, which is gone; put them back there")
    tasks = {task.id: task for task in read_tasks(where)}
    if gone := [one["id"] for one in told["answers"] if one["id"] not in tasks]:
        raise NotThere(f"{file} is about a task {gone[0]}, which {where} no longer holds")
    return tasks


def _training_seconds(trace: dict[str, Any]) -> float | None:
    seconds = trace.get("seconds", {}).get("train")
    return None if seconds is None else float(seconds)


def _texts(path: Path) -> list[Asked]:
    from kb.rows import file_rows
    from kb.schemas import recognised

    rows = list(file_rows(path))
    if not rows:
        raise BadInput(f"{path} holds no queries")
    schema = recognised(rows[0][1], rows[0][0])
    read = [schema.read(row, where) for where, row in rows]
    return [Asked(prompt, answer or None) for prompt, answer in read]
