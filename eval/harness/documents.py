"""What is asked: documents, in an order; and what answers them.

An answer is on disk as soon as it is written, under a name made of everything that shaped it, so
that a run that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from hone.files import short_hash
from hone.journal import Journal, Line


@dataclass(frozen=True)
class Document:
    """One question of a test set."""

    id: str
    query: str  # what samples are retrieved for
    prompt: str  # what the model reads
    row: dict[str, Any]  # as the test set has it


@dataclass(frozen=True)
class Written:
    """The answers to a document, one a sample, and how they came about."""

    texts: list[str]
    trace: dict[str, Any] = field(default_factory=dict)


class Answering(Protocol):
    """A base with what trains it; in tests a script."""

    def how(self, side: str) -> str:
        """A name for all that shapes an answer of this side, but for the document."""
        ...

    def answers(
        self, side: str, documents: Sequence[Document]
    ) -> Iterator[tuple[int, Written]]: ...


def ordered(documents: Sequence[Document], order: str, seed: int, limit: int) -> list[Document]:
    """The first so many; a shuffled part is a fair one."""
    chosen = list(documents)
    if order == "shuffled":
        Random(seed).shuffle(chosen)
    return chosen[:limit] if limit else chosen


def answered(
    model: Answering,
    side: str,
    documents: Sequence[Document],
    journal: Journal,
    on_answer: Callable[[], object] = lambda: None,
) -> list[Line]:
    """A line for each document, those on disk as they are there."""
    how = model.how(side)
    keys = [short_hash(how, side, one.id, one.query, one.prompt) for one in documents]
    missing = [i for i, key in enumerate(keys) if journal.find(key) is None]
    for _ in range(len(keys) - len(missing)):
        on_answer()
    for i, written in model.answers(side, [documents[i] for i in missing]):
        document = documents[missing[i]]
        line = {"id": document.id, "side": side, "texts": written.texts, "trace": written.trace}
        journal.add(keys[missing[i]], line)
        on_answer()
    return [journal.lines[key] for key in keys]
