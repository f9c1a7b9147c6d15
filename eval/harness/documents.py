"""Documents, their order, and the answers to them, which are kept on disk.

An answer is written to disk as soon as it is there, under a hash of everything that shaped it, so a
run that was killed resumes where it was.
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
    query: str  # the text for which samples are retrieved
    prompt: str  # the text that the model reads
    row: dict[str, Any]  # the row of the test set


@dataclass(frozen=True)
class Written:
    """The answers to a document, and how they were made."""

    texts: list[str]
    trace: dict[str, Any] = field(default_factory=dict)


class Answering(Protocol):
    """What answers documents: a base with its adaptation, or in tests a script."""

    def how(self, side: str) -> str:
        """A name for everything that shapes this side's answers, except for the document."""
        ...

    def answers(
        self, side: str, documents: Sequence[Document]
    ) -> Iterator[tuple[int, Written]]: ...


def ordered(documents: Sequence[Document], order: str, seed: int, limit: int) -> list[Document]:
    """The first `limit` documents in this order (0: all). If shuffled, they are a random sample."""
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
    """A line for each document. Those on disk already are not answered again."""
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
