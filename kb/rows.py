"""Rows of a local file, one at a time: JSON lines, a JSON list, CSV or parquet, also as .gz.

for where, row in file_rows(Path("data/gsm8k.jsonl.gz")): ...
"""

from __future__ import annotations

import csv
import gzip
import json
import random
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, cast

from hone.errors import Damaged, NotThere
from kb.json_list import json_items

Rows = Iterator[tuple[str, Any]]  # each row, after its place for messages
_ROWS_AT_ONCE = 1024  # read from a parquet file


@dataclass(frozen=True)
class Sample:
    """A random sample of a data set: `count` rows drawn with `seed`."""

    count: int
    seed: int


def form_of(path: Path) -> str | None:
    """The form that the file's ending names, a key of FORMS; None for other endings."""
    return next((form for form in FORMS if path.name.removesuffix(".gz").endswith(form)), None)


def file_rows(path: Path) -> Rows:
    read = FORMS[form_of(path) or ""]
    with _faults_named(path), opened(path) as file:
        yield from read(path, file)


def opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def count_rows(path: Path) -> int:
    """How many rows there are. JSON lines are counted without being parsed."""
    form = form_of(path)
    with _faults_named(path), opened(path) as file:
        if form == ".parquet":
            return int(_parquet_file(path, file).metadata.num_rows)
        if form == ".jsonl":
            return sum(1 for line in file if line.strip())
    return sum(1 for _ in file_rows(path))


def sampled(rows: Rows, total: int, sample: Sample) -> Rows:
    """A sample in which every row is equally likely; the rows keep their order."""
    drawn = random.Random(sample.seed).sample(range(total), min(sample.count, total))
    waiting = sorted(drawn, reverse=True)
    for number, row in enumerate(rows):
        if not waiting:
            return
        if number == waiting[-1]:
            waiting.pop()
            yield row


def _lines(path: Path, file: IO[bytes]) -> Rows:
    for number, line in enumerate(file, 1):
        where = f"{path} line {number}"
        if line.strip():
            yield where, _json_line(line, where)


def _json_line(line: bytes, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{where} is not JSON: {error}; mend or remove the line") from None


def _list(path: Path, file: IO[bytes]) -> Rows:
    for number, row in enumerate(json_items(file, str(path)), 1):
        yield f"{path} record {number}", row


def _table(path: Path, file: IO[bytes]) -> Rows:
    csv.field_size_limit(sys.maxsize)  # stories exceed the default limit of 128 KB
    with TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text, strict=True)
        try:
            for row in reader:
                where = f"{path} line {reader.line_num}"
                if None in row or None in row.values():
                    raise Damaged(
                        f"{where} has another number of cells than the first line; correct the line"
                    )
                yield where, row
        except (csv.Error, UnicodeDecodeError) as error:
            where = f"{path} line {reader.line_num + 1}"
            raise Damaged(f"{where} is not CSV: {error}; correct the line") from None


def _parquet(path: Path, file: IO[bytes]) -> Rows:
    number = 0
    for batch in _parquet_file(path, file).iter_batches(_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            number += 1
            yield f"{path} row {number}", row


def _parquet_file(path: Path, file: IO[bytes]) -> Any:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise NotThere(
            f"{path} is read with pyarrow, which is not installed; bash install.sh --extras hub"
        ) from None
    return ParquetFile(file)


FORMS: dict[str, Callable[[Path, IO[bytes]], Rows]] = {
    ".jsonl": _lines,
    ".json": _list,
    ".csv": _table,
    ".parquet": _parquet,
}


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    """Turns errors of gzip and of parquet into one line that names the file."""
    try:
        yield
    except gzip.BadGzipFile:
        raise Damaged(f"{path} is not a gzip file; unpack or rename it") from None
    except (EOFError, zlib.error):
        raise Damaged(f"{path} breaks off; fetch or write it again") from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "pyarrow":  # by name: it may be missing
            raise
        line = str(error).splitlines()[0]
        raise Damaged(f"{path} is not a parquet file: {line}; fetch or write it again") from None
