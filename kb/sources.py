"""Data sets by name, as streams of records.

generators:2000:7            2000 tasks of our training families, drawn with seed 7
data/training                ARC: a folder of tasks, a task file, Kaggle's challenges
data/gsm8k.jsonl.gz          text: .json, .jsonl, .csv, .parquet, each also as .gz
mbpp                         a data set of CT3's knowledge base, from the hub
mbpp=data/mbpp.parquet       the same from a local file, or a folder of such files
data/code.jsonl:5000:1       5000 of its rows, drawn with seed 1; also for named data sets
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from hone.errors import BadInput, NotThere
from kb.arc_sources import GENERATORS, ArcTasks, Generated
from kb.left_out import Report
from kb.named_sets import NAMED
from kb.records import Kind, Record
from kb.rows import FORMS, Sample, form_of, opened
from kb.schemas import Schema
from kb.text_sources import OnHub, TextFiles

_FILES = ", ".join(FORMS)


class Dataset(Protocol):
    """A data set that was named and found."""

    @property
    def kind(self) -> Kind: ...

    @property
    def source(self) -> str:
        """The name that its records carry."""
        ...

    @property
    def spelled(self) -> str:
        """Its name as the user wrote it."""
        ...

    def expected(self) -> int | None:
        """About how many records it will give; None where that is not known."""
        ...

    def records(self, report: Report) -> Iterator[tuple[int, Record]]:
        """Records with their numbers in the data set; what cannot be one goes into the report."""
        ...


def find_datasets(names: Iterable[str], schema: Schema | None = None) -> list[Dataset]:
    """Looks every name up before anything is read at length; all must be of one kind. Files of
    text are read with `schema`; where it is None, it is recognised."""
    found = [_find(name, schema) for name in names]
    for dataset in found:
        if [other.source for other in found].count(dataset.source) > 1:
            raise BadInput(
                f"two data sets are called {dataset.source}; give them different file names"
            )
    if len({dataset.kind for dataset in found}) > 1:
        by_kind = "; ".join(f"{d.spelled} is {d.kind}" for d in found)
        raise BadInput(f"one knowledge base is for one kind: {by_kind}; build two")
    return found


def _find(spelled: str, schema: Schema | None) -> Dataset:
    if spelled == GENERATORS or spelled.startswith(f"{GENERATORS}:"):
        return Generated.named(spelled)
    called, given, place = spelled.partition("=")
    name, sample = _without_sample(called)
    if name in NAMED:
        return _named(spelled, name, sample, Path(place) if given else None)
    if Path(spelled).exists():
        return _local(spelled, Path(spelled), None, schema)
    if sample is not None and not given and Path(name).exists():
        return _local(spelled, Path(name), sample, schema)
    raise BadInput(
        f"no data set {spelled!r}; there are: {GENERATORS}[:COUNT[:SEED]], {', '.join(NAMED)},"
        f" a folder or file of ARC tasks, a file of text ({_FILES}, also .gz)"
    )


def _local(spelled: str, path: Path, sample: Sample | None, schema: Schema | None) -> Dataset:
    if _kind_of(path) == "text":
        return TextFiles(spelled, path.name.split(".")[0], (path,), schema, sample)
    if sample is not None:
        raise BadInput(f"{spelled}: only text is sampled; leave :{sample.count} out")
    return ArcTasks(spelled, path)


def _kind_of(path: Path) -> Kind:
    if path.is_dir():
        return "arc"
    if (form := form_of(path)) is None:
        raise BadInput(f"{path}: a {_FILES} file was expected (also .gz)")
    if form != ".json" or path.suffix == ".gz":
        return "text"
    with opened(path) as file:
        return "text" if file.read(64).lstrip().startswith(b"[") else "arc"  # ARC: an object


def _named(spelled: str, name: str, sample: Sample | None, place: Path | None) -> Dataset:
    known = NAMED[name]
    sample, place = sample or known.sample, place or known.local
    if place is not None:
        files = tuple(_copies(name, place))
        return TextFiles(spelled, name, files, known.schema, sample)
    assert known.hub is not None  # a named set is on the hub or local
    return OnHub(spelled, name, known.hub, known.schema, sample)


def _copies(name: str, place: Path) -> list[Path]:
    """The files of a local copy of a named data set."""
    if not place.exists():
        raise NotThere(
            f"{name} is read from {place}, which is not there; put it there, or name its place"
            f" with {name}=PATH"
        )
    if place.is_file() and form_of(place) is None:
        raise BadInput(f"{place}: a {_FILES} file was expected (also .gz)")
    if not (files := NAMED[name].files(place)):
        raise NotThere(f"{place} holds no {_FILES} file for {name}; check the path")
    return files


def _without_sample(called: str) -> tuple[str, Sample | None]:
    """`NAME:COUNT[:SEED]` as name and sample; other names have no sample."""
    name, *rest = called.split(":")
    if not rest or len(rest) > 2 or not all(part.isascii() and part.isdigit() for part in rest):
        return called, None
    count, seed = (*map(int, rest), 0)[:2]
    if count < 1:
        raise BadInput(f"{called!r} asks for no rows; COUNT is at least 1")
    return name, Sample(count, seed)
