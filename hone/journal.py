"""A journal of what a run has done: lines of JSON, each on disk before the next step begins.

The key of a line is a hash of everything that shaped it. So a run that was killed continues where
it was, and a run with other settings, code or machine does not take these lines for its own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hone.errors import Damaged

Line = dict[str, Any]


class Journal:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, Line] = {}
        for number, text in enumerate(_whole_lines(path), 1):
            line = _read(text, f"{path}, line {number}")
            self.lines[line.pop("key")] = line

    def find(self, key: str) -> Line | None:
        return self.lines.get(key)

    def add(self, key: str, line: Line) -> Line:
        self.lines[key] = line
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({"key": key, **line}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return line


def _whole_lines(path: Path) -> list[str]:
    """The whole lines of the file. A last line that a kill cut short is removed from the file, so
    that the next one begins on a line of its own."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    return whole.decode(errors="replace").splitlines()


def _read(text: str, where: str) -> Line:
    try:
        line = json.loads(text)
    except ValueError as error:
        raise Damaged(f"{where} is not JSON: {error}; remove the line or the file") from None
    if not isinstance(line, dict) or not isinstance(line.get("key"), str):
        raise Damaged(f"{where} is not a line of this benchmark; remove the line or the file")
    return line
