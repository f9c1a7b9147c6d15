"""Reads files of text to train on: JSON lines of {"prompt": ..., "completion": ...}, also as .gz.

`python -m kb halves` writes such files from data sets of any form. One row in sixteen, chosen by
its prompt, is kept out of training to measure on.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from hone.errors import BadInput, Damaged

FIELDS = ("prompt", "completion")


class TextRow(NamedTuple):
    prompt: str
    completion: str


def holds_text(path: Path) -> bool:
    """Whether the file holds text, judged by its first line. Files that cannot be read are not text
    here; the readers of tasks will refuse them."""
    if not path.name.endswith((".jsonl", ".jsonl.gz")) or not path.is_file():
        return False
    try:
        with _opened(path) as file:
            first = json.loads(file.readline())
    except (OSError, EOFError, ValueError):
        return False
    return isinstance(first, dict) and set(FIELDS) <= set(first)


def read_rows(path: Path) -> list[TextRow]:
    """The file's rows, each once even where it is repeated."""
    try:
        with _opened(path) as file:
            return list(dict.fromkeys(_rows(path, file)))
    except (gzip.BadGzipFile, EOFError):
        raise Damaged(f"{path} breaks off or is not a gzip file; write it again") from None


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _rows(path: Path, file: IO[bytes]) -> Iterator[TextRow]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield _row(line, f"{path} line {number}")


def _row(line: bytes, where: str) -> TextRow:
    try:
        row: Any = json.loads(line)
        prompt, completion = (row[field] for field in FIELDS)
        (prompt + completion).encode()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(
            f'{where} is not an object with the texts "prompt" and "completion"; correct or remove'
            " it"
        ) from None
    return TextRow(prompt, completion)
