"""A knowledge base that is being changed: the records that stay, with their vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hone.errors import BadInput
from kb.intake import Vector
from kb.left_out import LEFT_OUT, LeftOut, read_report
from kb.records import Record
from kb.store import KnowledgeBase

_AT_ONCE = 4096  # rows


@dataclass(frozen=True)
class Existing:
    base: KnowledgeBase
    removed: tuple[str, ...]  # names of the sources to remove

    def __post_init__(self) -> None:
        there = self.base.manifest.sources
        for name in self.removed:
            if name not in there:
                raise BadInput(f"--remove_source: no source {name!r}; there are {', '.join(there)}")

    @property
    def sources(self) -> dict[str, int]:
        """The sources that stay, and how many records each has."""
        there = self.base.manifest.sources
        return {name: count for name, count in there.items() if name not in self.removed}

    def rows(self) -> Iterator[tuple[int, Record, Vector]]:
        """Row, record and vector of every record that stays."""
        start = 0
        for name, count in self.base.manifest.sources.items():
            if name not in self.removed:
                for first in range(start, start + count, _AT_ONCE):
                    yield from self._block(range(first, min(first + _AT_ONCE, start + count)))
            start += count

    def left_out(self) -> Iterator[LeftOut]:
        """What earlier builds left out of the sources that stay."""
        for left in read_report(self.base.path / LEFT_OUT):
            if left.source not in self.removed:
                yield left

    def _block(self, rows: range) -> Iterator[tuple[int, Record, Vector]]:
        vectors = self.base.vectors(np.array(rows))
        yield from zip(rows, self.base.records(rows), vectors, strict=True)
