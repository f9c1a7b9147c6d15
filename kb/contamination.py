"""Finds test questions in data sets, before anything is built from them.

    python -m kb contamination --datasets data/math.jsonl --exclude data/mawps_test.jsonl --show 5

kb/decontamination.py defines when a record gives a question away. The builder leaves out the same
records when it is given the same --exclude.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from kb.decontamination import KnownTests, Match
    from kb.records import Record
    from kb.sources import Dataset


@dataclass(frozen=True)
class ContaminationSettings:
    datasets: tuple[str, ...] = option((), "data sets, spelled as for kb/build_kb.py")
    exclude: tuple[Path, ...] = option((), "test sets to look for")
    prompt_field: str | None = option(None, "field of text records to embed; recognised by default")
    answer_field: str | None = option(None, "field of text records to learn; recognised by default")
    show: int = option(0, "questions to print, each with the record that gives it away", low=0)


@dataclass(frozen=True)
class Found:
    """A test question, and the record that gives most of it away."""

    match: Match
    number: int  # the record's place in its data set, from 1
    record: Record

    def __str__(self) -> str:
        place = f"{self.record.source} record {self.number}"
        return f"{self.match} ({self.match.share:.2f}): {place}: {self.record.prompt!r:.160}"


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        ContaminationSettings, argv, env_prefix="HONE_CONTAMINATION_", description=__doc__ or ""
    )
    from kb.decontamination import open_test_sets
    from kb.schemas import named_schema
    from kb.sources import find_datasets

    if not settings.datasets or not settings.exclude:
        raise BadInput("name data sets with --datasets and test sets with --exclude")
    schema = named_schema(settings.prompt_field, settings.answer_field)
    datasets = find_datasets(settings.datasets, schema)
    tests = open_test_sets(settings.exclude, datasets[0].kind)
    found = look_for(tests, datasets)
    for line in table(tests, [one.match for one in found]):
        print(line)
    for one in found[: settings.show]:
        print(one)
    return 0


def look_for(tests: KnownTests, datasets: Sequence[Dataset]) -> list[Found]:
    """Each question that is given away, once, in the order of the test sets."""
    best: dict[str, Found] = {}
    for number, record in _records(datasets):
        for match in tests.matches(record):
            before = best.get(str(match))
            if before is None or match.share > before.match.share:
                best[str(match)] = Found(match, number, record)
    order = list(tests.sizes)
    return sorted(best.values(), key=lambda one: order.index(one.match.test_set))


def table(tests: KnownTests, found: Sequence[Match]) -> Iterator[str]:
    yield f"{'test set':32}{'questions':>10}{'word for word':>15}{'in large part':>15}"
    for name, size in tests.sizes.items():
        shares = [match.share for match in found if match.test_set == name]
        whole = sum(share == 1 for share in shares)
        yield f"{name:32}{size:10}{whole:15}{len(shares) - whole:15}"


def _records(datasets: Sequence[Dataset]) -> Iterator[tuple[int, Record]]:
    from tqdm import tqdm

    from kb.left_out import Report

    for dataset in datasets:
        records = dataset.records(Report())
        yield from tqdm(records, dataset.source, total=dataset.expected(), unit="")


if __name__ == "__main__":
    run_command(main)
