"""Reads queries from a file: JSON lines, a JSON list, CSV or parquet, also as .gz.

The query is in a row's field query, question, prompt, instruction or text, as common test sets call
it. A row's `id`, if it has one, is returned with the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.errors import BadInput, NotThere
from kb.rows import FORMS, file_rows, form_of
from kb.schemas import recognised_question


@dataclass(frozen=True)
class FileQuery:
    number: int  # number of its row, from 1
    where: str  # file and place of the row, for error messages
    query: str
    id: Any = None

    def told(self, answer: str, trace: dict[str, Any]) -> dict[str, Any]:
        own = {} if self.id is None else {"id": self.id}
        return {"number": self.number, **own, "query": self.query, "answer": answer, "trace": trace}


def read_queries(path: Path) -> list[FileQuery]:
    """All queries of the file; raises BadInput for the first row that holds none."""
    if not path.is_file():
        raise NotThere(f"no file {path}; check --query_file")
    if form_of(path) is None:
        raise BadInput(f"{path}: a {', '.join(FORMS)} file was expected (also .gz)")
    found = []
    for number, (where, row) in enumerate(file_rows(path), 1):
        query, _ = recognised_question(row, where).read(row, where)
        found.append(FileQuery(number, where, query, row.get("id")))
    if not found:
        raise BadInput(f"{path} holds no queries; one per row was expected")
    return found
