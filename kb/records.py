"""The records of a knowledge base: a prompt, its answer and their source; or an ARC task."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from arc.grid import grid, to_rows
from arc.task import Pair, Task, task_from_json, task_to_json
from hone.errors import Damaged

Kind = Literal["text", "arc"]


@dataclass(frozen=True)
class Record:
    source: str
    kind: Kind
    prompt: str  # for ARC the task's JSON without test outputs
    answer: str  # for ARC the JSON list of those outputs

    def digest(self) -> bytes:
        """A hash that is equal for exact duplicates, whatever their sources."""
        return hashlib.sha256(spelled(self.kind, self.prompt, self.answer)).digest()

    def checksum(self, row: int) -> int:
        """64 bits over the record and its row; signed, because stores keep signed integers."""
        parts = spelled(str(row), self.source, self.kind, self.prompt, self.answer)
        digest = hashlib.blake2b(parts, digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)


class Found(Protocol):
    """A record as it was found: a Record, or a Hit of one."""

    @property
    def prompt(self) -> str: ...

    @property
    def answer(self) -> str: ...


def record_of_task(task: Task, source: str) -> Record | None:
    """The record of a task; None where a test output is not known."""
    outputs = [pair.output for pair in task.test if pair.output is not None]
    if len(outputs) < len(task.test):
        return None
    return Record(
        source,
        "arc",
        _compact(task_to_json(task.without_answers())),
        _compact([to_rows(output) for output in outputs]),
    )


def task_of(found: Found, task_id: str) -> Task:
    """The ARC task of a record or hit of kind "arc", with its answers."""
    where = f"record {task_id}"
    try:
        prompt, answers = json.loads(found.prompt), json.loads(found.answer)
        task = task_from_json(prompt, task_id, where)
        test = tuple(
            Pair(pair.input, grid(answer, f"{where} answer"))
            for pair, answer in zip(task.test, answers, strict=True)
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise Damaged(f"{where} is not an ARC task: {error}; rebuild the knowledge base") from None
    return dataclasses.replace(task, test=test)


def checked_record(row: int, columns: Sequence[object], checksum: object, where: str) -> Record:
    """The record that a store has at `row`; refused if it is not the one that was written."""
    record = Record(*columns)  # type: ignore[arg-type] # whatever a damaged file holds
    try:
        sound = record.checksum(row) == checksum
    except (AttributeError, TypeError):  # a column is not a string
        sound = False
    if not sound:
        raise Damaged(
            f"{where}: record {row} has changed since it was written; rebuild the knowledge base"
        )
    return record


def query_of(record: Record) -> str | Task:
    """What is embedded for a record: its prompt alone."""
    return record.prompt if record.kind == "text" else task_of(record, record.source)


def spelled(*parts: str) -> bytes:
    """The parts, each with its length, so that different lists never give the same bytes."""
    return b"".join(b"%d:%b" % (len(raw), raw) for raw in (part.encode() for part in parts))


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
