"""In which order queries enter the training queue. It changes when they are done, not what comes
of them.

    arrival  as they were asked
    length   most tokens to train on first, so that none of the long ones is left to run alone;
             looks 64 queries ahead, whose items are all in memory
    palette  tasks of fewest colours first, those of the same colours together; text has no colours
             and stays as it was asked
    family   each followed by the one most like it, by embedding, among those that wait
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from client.jobs import Job
    from models.embedder import Query, Vectors

Named = TypeVar("Named")
ORDERS = ("arrival", "length", "palette", "family")


def by_length(
    jobs: Iterable[tuple[Named, Job | None]], ahead: int = 64
) -> Iterator[tuple[Named, Job | None]]:
    """Each under its name; None: nothing to train on."""
    source = iter(jobs)
    while some := list(islice(source, ahead)):
        yield from sorted(some, key=lambda made: -(made[1].work if made[1] else 0))


def by_palette(queries: Sequence[Query]) -> list[int]:
    """Indices of the queries."""
    return sorted(range(len(queries)), key=lambda i: _palette(queries[i]))


def by_family(vectors: Vectors) -> list[int]:
    """Indices in a chain: the first, then always the nearest of the rest."""
    likeness = vectors @ vectors.T
    chain, waiting = [0], list(range(1, len(vectors)))
    while waiting:
        nearest = max(waiting, key=lambda i: (likeness[chain[-1], i], -i))
        waiting.remove(nearest)
        chain.append(nearest)
    return chain


def _palette(query: Query) -> tuple[int, list[int]]:
    """What a task shows of its colours, answers left aside: how many, and which."""
    if isinstance(query, str):
        return 0, []
    shown = [pair.output for pair in query.train if pair.output is not None]
    grids = [*shown, *(pair.input for pair in (*query.train, *query.test))]
    colours = sorted({int(colour) for grid in grids for colour in grid.flat})
    return len(colours), colours
