"""Finds test questions in records, so that a knowledge base can leave out what gives them away.

A text record gives a question away if it contains the question word for word (words as in
kb/words.py), or at least half of the question's runs of eight words. Questions of fewer than eight
words are too common: they count only where they are the whole prompt. An ARC task gives a test task
away if it has one of its input grids.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from arc.grid import spell
from arc.readers import read_tasks
from hone.errors import BadInput, NotThere
from kb.records import Found, Kind, Record, task_of
from kb.rows import file_rows, form_of
from kb.schemas import recognised_question
from kb.words import runs, words

RUN = 8  # words
OVERLAP = 0.5  # share of a question's runs from which on a record gives it away
F = TypeVar("F", bound=Found)
_NEARLY = 0.999  # the largest share by runs alone, since they may be in another order


class Match(NamedTuple):
    """A test question that a record gives away."""

    test_set: str
    place: str
    share: float = 1.0  # of the question; 1 is word for word

    def __str__(self) -> str:
        return f"{self.test_set} {self.place}"


class KnownTests(Protocol):
    """Test sets that were read, to be looked for in records."""

    @property
    def sizes(self) -> Counter[str]:
        """How many questions, or ARC tasks, each test set has."""
        ...

    def matches(self, record: Record) -> Iterator[Match]:
        """Every question that the record gives away."""
        ...


def open_test_sets(paths: Sequence[Path], kind: Kind) -> KnownTests:
    for path in paths:
        if not path.exists():
            raise NotThere(f"no test set at {path}; check --exclude")
    return ArcTests(paths) if kind == "arc" else TextTests(paths)


class TextTests:
    """Test sets of text, found by their runs of words."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.sizes = Counter[str]()
        self._questions: list[_Question] = []
        self._short = defaultdict[str, list[int]](list)
        self._by_run = defaultdict[int, list[int]](list)
        for path in paths:
            for place, question in _questions(path):
                self._add(Match(path.name, place), words(question))

    @classmethod
    def of(cls, name: str, questions: Sequence[str]) -> TextTests:
        """One test set, from its questions."""
        tests = cls(())
        for number, question in enumerate(questions, 1):
            tests._add(Match(name, f"row {number}"), words(question))
        return tests

    def matches(self, record: Found) -> Iterator[Match]:
        prompt = words(record.prompt)
        for number in self._short.get(" ".join(prompt), ()):
            yield self._questions[number].match
        said = prompt + words(record.answer)
        shared = Counter(n for run in set(runs(said, RUN)) for n in self._by_run.get(run, ()))
        spelled = f" {' '.join(said)} "
        for number, count in shared.items():
            question = self._questions[number]
            if f" {question.spelled} " in spelled:
                yield question.match
            elif (share := count / question.runs) >= OVERLAP:
                yield question.match._replace(share=min(share, _NEARLY))

    def clean(self, found: Iterable[F]) -> list[F]:
        """Those of `found` that give no question away."""
        return [one for one in found if next(self.matches(one), None) is None]

    def _add(self, match: Match, question: list[str]) -> None:
        number, spelled = len(self._questions), " ".join(question)
        held = set(runs(question, RUN)) if len(question) >= RUN else set()
        self._questions.append(_Question(match, spelled, len(held)))
        self.sizes[match.test_set] += 1
        for run in held:
            self._by_run[run].append(number)
        if not held:
            self._short[spelled].append(number)


class _Question(NamedTuple):
    match: Match  # what is reported where it is found word for word
    spelled: str
    runs: int


class ArcTests:
    """Test sets of ARC tasks, found by their input grids."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.sizes = Counter[str]()
        self._by_input: dict[str, Match] = {}
        for path in paths:
            for task in read_tasks(path):
                self.sizes[path.name] += 1
                for pair in (*task.train, *task.test):
                    self._by_input[spell(pair.input)] = Match(path.name, task.id)

    def matches(self, record: Record) -> Iterator[Match]:
        task = task_of(record, record.source)
        inputs = (spell(pair.input) for pair in (*task.train, *task.test))
        yield from dict.fromkeys(self._by_input[one] for one in inputs if one in self._by_input)


def _questions(path: Path) -> Iterator[tuple[str, str]]:
    """Each question of a test set with its place in the file."""
    if form_of(path) is None:
        raise BadInput(f"{path}: a .json, .jsonl, .csv or .parquet file of questions was expected")
    schema = None
    for number, (where, row) in enumerate(file_rows(path), 1):
        schema = schema or recognised_question(row, where)
        yield f"row {number}", schema.read(row, where)[0]
    if schema is None:
        raise BadInput(f"{path} holds no test questions; check --exclude")
