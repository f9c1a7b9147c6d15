"""Sources of text: local files in any known schema, and data sets on the hub."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hone.errors import BadInput
from kb.hub import HubSet
from kb.left_out import Report
from kb.records import Kind, Record
from kb.rows import Rows, Sample, count_rows, file_rows, sampled
from kb.schemas import Schema, recognised


@dataclass(frozen=True)
class TextFiles:
    """A local file of text, or the files of one data set."""

    spelled: str
    source: str
    paths: tuple[Path, ...]
    schema: Schema | None  # None: recognised by the fields of the first row
    sample: Sample | None = None
    kind: Kind = "text"

    def expected(self) -> int:
        """The size of the sample, or all rows, which are counted before they are read."""
        total = sum(map(count_rows, self.paths))
        return total if self.sample is None else min(total, self.sample.count)

    def records(self, report: Report) -> Iterator[tuple[int, Record]]:
        rows: Rows = itertools.chain.from_iterable(map(file_rows, self.paths))
        first = next(rows, None)
        if first is None:
            raise BadInput(f"{self.paths[0]} holds no records")
        schema = self.schema or recognised(first[1], first[0])
        rows = itertools.chain([first], rows)
        if self.sample is not None:
            rows = sampled(rows, sum(map(count_rows, self.paths)), self.sample)
        return _records(rows, schema, self.source)


@dataclass(frozen=True)
class OnHub:
    """A data set that is streamed from the hub."""

    spelled: str
    source: str
    hub: HubSet
    schema: Schema
    sample: Sample | None = None
    kind: Kind = "text"

    def expected(self) -> int | None:
        return None if self.sample is None else self.sample.count

    def records(self, report: Report) -> Iterator[tuple[int, Record]]:
        return _records(self.hub.rows(self.sample), self.schema, self.source)


def _records(rows: Rows, schema: Schema, source: str) -> Iterator[tuple[int, Record]]:
    for number, (where, row) in enumerate(rows, 1):
        yield number, Record(source, "text", *schema.read(row, where))
