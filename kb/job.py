"""One build of a knowledge base, which may continue an earlier one that was interrupted."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hone.errors import BadInput
from kb.decontamination import KnownTests
from kb.existing import Existing
from kb.intake import Intake, Taken
from kb.keeping import Keeping
from kb.left_out import LEFT_OUT, Report
from kb.manifest import FORMAT_VERSION, Manifest
from kb.near_duplicates import NearDuplicates
from kb.partial import ContentHash, PartialBase, open_partial
from kb.records import Kind, query_of
from kb.schemas import Schema
from kb.sources import Dataset
from kb.store import Vectors, hone_version
from models.embedder import Embedder


class SourcesChanged(Exception):
    """The sources no longer give the records that an unfinished build holds."""


@dataclass
class Job:
    kind: Kind
    embedder: Embedder
    existing: Existing | None
    datasets: Sequence[Dataset]
    schema: Schema | None
    exclude: Sequence[Path]
    tests: KnownTests | None
    keep_near_duplicates: bool
    at_once: int  # records that are embedded and written together
    folder: Path
    keeping: Keeping

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal for an unfinished build to be continued."""
        return {
            "format_version": FORMAT_VERSION,
            "datasets": [dataset.spelled for dataset in self.datasets],
            "fields": None if self.schema is None else str(self.schema),
            "exclude": [str(path) for path in self.exclude],
            "keep_near_duplicates": self.keep_near_duplicates,
            "embedder": self.embedder.name,
            "embedder_fingerprint": self.embedder.fingerprint,
            "changes": self.existing.base.manifest.content_hash if self.existing else None,
            "removes": list(self.existing.removed) if self.existing else [],
        }

    def run(self) -> tuple[Manifest, Report]:
        while True:
            partial, note = open_partial(self.folder, self.identity, self.embedder.dimension)
            if note:
                print(note, file=sys.stderr)
            try:
                return self._fill(partial)
            except SourcesChanged:
                print(
                    "the data sets have changed since the unfinished build: starting again",
                    file=sys.stderr,
                )
                partial.discard()
            finally:
                partial.close()
                if not partial.done:  # nothing worth continuing
                    partial.discard()

    def _fill(self, partial: PartialBase) -> tuple[Manifest, Report]:
        counts = Counter[str]()
        with Report(self.folder / LEFT_OUT) as report:
            for block, running_hash in self._blocks(partial, report, counts):
                records = [taken.record for taken in block]
                partial.add(records, self._vectors(block), running_hash)
        if not partial.done:
            raise BadInput(f"no records in {self._named}; there is nothing to search in")
        return partial.finish(self._about(counts), self.keeping), report

    def _vectors(self, block: Sequence[Taken]) -> Vectors:
        """[records, dimension]: the known vectors, and those of new records, which are embedded
        together because the embedder sorts texts by length."""
        new = [i for i, taken in enumerate(block) if taken.vector is None]
        vectors = np.empty((len(block), self.embedder.dimension), dtype=np.float32)
        for i, taken in enumerate(block):
            if taken.vector is not None:
                vectors[i] = taken.vector
        if new:
            vectors[new] = self.embedder.embed([query_of(block[i].record) for i in new])
        return vectors

    def _blocks(
        self, partial: PartialBase, report: Report, counts: Counter[str]
    ) -> Iterator[tuple[list[Taken], str]]:
        """Blocks of the records that are not in yet, each with the running hash after it."""
        content = ContentHash(self.embedder.fingerprint)
        block: list[Taken] = []
        there, before, number = partial.done, partial.running_hash, 0
        for number, taken in enumerate(self._taken(report), 1):
            content.add(taken.record)
            counts[taken.record.source] += 1
            if number == there and content.value() != before:
                raise SourcesChanged
            if number > there:
                block.append(taken)
            if len(block) == self.at_once:
                yield block, content.value()
                block = []
        if number < there:
            raise SourcesChanged
        if block:
            yield block, content.value()

    def _taken(self, report: Report) -> Iterator[Taken]:
        """The records that are taken. A bar shows how many were read, the rate and, where their
        number is known, the time left."""
        near = None
        if self.kind == "text" and not self.keep_near_duplicates:
            near = NearDuplicates()
        with tqdm(desc="records", total=self._expected(), unit="") as bar:
            intake = Intake(report, self.tests, near, on_read=bar.update)
            yield from intake.taken(self.existing, self.datasets)

    def _expected(self) -> int | None:
        """How many records will be read; None where a source does not know beforehand."""
        there = sum(self.existing.sources.values()) if self.existing else 0
        expected = [dataset.expected() for dataset in self.datasets]
        known = [count for count in expected if count is not None]
        return there + sum(known) if len(known) == len(expected) else None

    @property
    def _named(self) -> str:
        there = list(self.existing.sources) if self.existing else []
        return ", ".join([*there, *(d.spelled for d in self.datasets)]) or "what would be left"

    def _about(self, counts: Counter[str]) -> dict[str, Any]:
        before = {"before": self.existing.base.manifest.built_from} if self.existing else {}
        return {
            "kind": self.kind,
            "embedder": self.embedder.name,
            "embedder_fingerprint": self.embedder.fingerprint,
            "sources": dict(counts),
            "built_from": self.identity | before,
            "hone_version": hone_version(),
        }
