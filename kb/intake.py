"""Decides for each record that is read whether it is taken or left out, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from kb.left_out import LeftOut, Report
from kb.records import Record

if TYPE_CHECKING:
    from kb.decontamination import KnownTests
    from kb.existing import Existing
    from kb.near_duplicates import NearDuplicates
    from kb.sources import Dataset

Vector = npt.NDArray[np.float32]


class Taken(NamedTuple):
    record: Record
    vector: Vector | None = None  # known for records of an existing knowledge base


@dataclass
class Intake:
    """Remembers what was taken: 16 bytes of hash for each record, and what NearDuplicates keeps."""

    report: Report
    tests: KnownTests | None = None
    near: NearDuplicates | None = None  # None: near-duplicates are taken too
    on_read: Callable[[], object] = lambda: None  # called for every record, taken or not
    _seen: set[bytes] = field(default_factory=set)
    _count: int = 0

    def taken(self, existing: Existing | None, datasets: Iterable[Dataset]) -> Iterator[Taken]:
        """What is taken of the existing knowledge base, then of the data sets, in order."""
        if existing is not None:
            yield from self._again(existing)
        for dataset in datasets:
            for number, record in dataset.records(self.report):
                self.on_read()
                if (left := self._reason(record, number)) is None:
                    self._count += 1
                    yield Taken(record)
                else:
                    self.report.add(left)

    def _again(self, existing: Existing) -> Iterator[Taken]:
        """Records that an earlier build took: only a test set can exclude them now."""
        for before in existing.left_out():
            self.report.add(before)
        for row, record, vector in existing.rows():
            self.on_read()
            if told := self._of_a_test(record, row + 1):
                self.report.add(told)
                continue
            self._seen.add(record.digest()[:16])
            if self.near is not None:
                self.near.add(record, self._count)
            self._count += 1
            yield Taken(record, vector)

    def _reason(self, record: Record, number: int) -> LeftOut | None:
        """Why the record is left out; None if it is taken."""
        if left := self._of_a_test(record, number):
            return left
        if (digest := record.digest()[:16]) in self._seen:
            return LeftOut.of(record.source, number, "exact duplicate", record.prompt)
        self._seen.add(digest)
        if self.near is None or (found := self.near.like_or_add(record, self._count)) is None:
            return None
        row, share = found
        like = f"record {row}"
        return LeftOut.of(record.source, number, "near duplicate", record.prompt, like, share)

    def _of_a_test(self, record: Record, number: int) -> LeftOut | None:
        matches = self.tests.matches(record) if self.tests else ()
        if (match := max(matches, key=lambda match: match.share, default=None)) is None:
            return None
        return LeftOut.of(
            record.source, number, "test question", record.prompt, str(match), match.share
        )
