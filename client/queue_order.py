"""The order in which queries enter the training queue: it decides when they are done, not how.

arrival  the order in which they were asked
length   most training tokens first, so that no long job is left to run alone at the end;
         sorts 64 queries at a time, whose items are all in memory
palette  tasks with few colours first, tasks with equal colours together; text queries have no
         colours and keep their order
family   each query is followed by the waiting one that is most similar by embedding
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
    """Sorts the next `ahead` jobs at a time, most work first; None (no items) comes last."""
    source = iter(jobs)
    while some := list(islice(source, ahead)):
        yield from sorted(some, key=lambda made: -(made[1].work if made[1] else 0))


def by_palette(queries: Sequence[Query]) -> list[int]:
    """Indices of the queries, sorted by their colours."""
    return sorted(range(len(queries)), key=lambda i: _palette(queries[i]))


def by_family(vectors: Vectors) -> list[int]:
    """Indices of the vectors, in a chain: the first, then always the nearest of the rest."""
    likeness = vectors @ vectors.T
    chain, waiting = [0], list(range(1, len(vectors)))
    while waiting:
        nearest = max(waiting, key=lambda i: (likeness[chain[-1], i], -i))
        waiting.remove(nearest)
        chain.append(nearest)
    return chain


def _palette(query: Query) -> tuple[int, list[int]]:
    """How many colours a task shows, and which, without the answers to its test inputs."""
    if isinstance(query, str):
        return 0, []
    shown = [pair.output for pair in query.train if pair.output is not None]
    grids = [*shown, *(pair.input for pair in (*query.train, *query.test))]
    colours = sorted({int(colour) for grid in grids for colour in grid.flat})
    return len(colours), colours
