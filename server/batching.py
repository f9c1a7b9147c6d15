"""Batches the searches that wait: one pass over the vectors answers many questions.

    scores, rows = await batcher.nearest(store, queries, reach, sources)

While one batch is searched in a thread of its own, the next one gathers. The queue is bounded: a
request that finds it full is told at once when to try again, rather than left to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from fastapi import HTTPException

from kb.store import Rows, Scores, Store, Vectors
from server.metrics import Metrics

# Clients that were answered together ask again together, and one search for them and for those who
# waited meanwhile is faster than two. So a batch waits for all of them while they keep coming. Both
# limits of that wait are shares of the time that the last search took.
_PATIENCE = 0.5  # altogether
_SILENCE = 0.05  # without a newcomer
_LONGEST_RETRY = 60  # seconds; no client is told to wait longer before it tries again


@dataclass(frozen=True)
class _Kind:
    """What questions must have in common to be searched together."""

    store: Store
    reach: int
    sources: tuple[str, ...] | None


@dataclass(frozen=True, eq=False)
class _Waiting:
    kind: _Kind
    queries: Vectors
    answer: asyncio.Future[tuple[Scores, Rows]]
    since: float


class Batcher:
    def __init__(self, metrics: Metrics, *, most_waiting: int, most_together: int) -> None:
        self._metrics, self._most_waiting = metrics, most_waiting
        self._most_together = most_together
        self._line: deque[_Waiting] = deque()
        self.waiting = 0  # vectors in the queue
        self._came = asyncio.Event()
        self._last_size, self._last_seconds, self._last_end = 1, 0.0, 0.0
        self._expected = 1  # vectors of the last search and of those who asked meanwhile
        metrics.watch_queue(lambda: self.waiting, most_waiting)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Questions are answered while this context lasts."""
        with ThreadPoolExecutor(1, "search") as thread:
            serving = asyncio.create_task(self._serve(thread))
            try:
                yield
            finally:
                serving.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await serving

    async def nearest(
        self, store: Store, queries: Vectors, reach: int, sources: Sequence[str] | None
    ) -> tuple[Scores, Rows]:
        """The store's `nearest`, in turn; refuses (429) where the queue is full."""
        if self.waiting + len(queries) > self._most_waiting:
            raise HTTPException(
                429,
                f"{self.waiting} vectors are waiting, of at most {self._most_waiting};"
                " try again in a moment",
                {"retry-after": str(self._seconds_to_wait())},
            )
        kind = _Kind(store, reach, None if sources is None else tuple(sources))
        answer: asyncio.Future[tuple[Scores, Rows]] = asyncio.get_running_loop().create_future()
        self._line.append(_Waiting(kind, queries, answer, time.perf_counter()))
        self.waiting += len(queries)
        self._came.set()
        return await answer

    def _seconds_to_wait(self) -> int:
        """How long those in the queue will take, at the pace of the last batch."""
        pace = self._last_seconds / self._last_size
        return max(1, min(_LONGEST_RETRY, math.ceil(self.waiting * pace)))

    async def _serve(self, thread: ThreadPoolExecutor) -> None:
        while True:
            await self._gather()
            await self._search(self._next_batch(), thread)

    async def _gather(self) -> None:
        """Waits for a question, and then for others that are expected soon."""
        await self._until_there_are(1)
        patient_until = self._last_end + _PATIENCE * self._last_seconds
        with contextlib.suppress(TimeoutError):
            while self.waiting < min(self._expected, self._most_together):
                left = patient_until - time.perf_counter()
                async with asyncio.timeout(min(left, _SILENCE * self._last_seconds)):
                    await self._until_there_are(self.waiting + 1)

    async def _until_there_are(self, count: int) -> None:
        while self.waiting < count:
            self._came.clear()
            await self._came.wait()

    def _next_batch(self) -> list[_Waiting]:
        """The first in the queue, and later ones of the same kind, as far as there is room."""
        kind, room = self._line[0].kind, self._most_together
        batch: list[_Waiting] = []
        rest: deque[_Waiting] = deque()
        for one in self._line:
            fits = one.kind == kind and (len(one.queries) <= room or not batch)
            room -= len(one.queries) if fits else 0
            (batch if fits else rest).append(one)
        self._line = rest
        self.waiting -= sum(len(one.queries) for one in batch)
        return batch

    async def _search(self, batch: list[_Waiting], thread: ThreadPoolExecutor) -> None:
        kind, began = batch[0].kind, time.perf_counter()
        queries = np.concatenate([one.queries for one in batch])
        for one in batch:
            self._metrics.phases.labels("queue").observe(began - one.since)
        self._metrics.batches.observe(len(queries))
        try:
            with self._metrics.phase("search"):
                scores, rows = await asyncio.get_running_loop().run_in_executor(
                    thread, kind.store.nearest, queries, kind.reach, kind.sources
                )
        except Exception as error:
            _tell_all(batch, error)
            return
        self._last_end = time.perf_counter()
        self._last_size, self._last_seconds = len(queries), self._last_end - began
        self._expected = len(queries) + self.waiting
        _hand_out(batch, scores, rows)


def _hand_out(batch: list[_Waiting], scores: Scores, rows: Rows) -> None:
    borders = np.cumsum([len(one.queries) for one in batch])[:-1]
    parts = zip(batch, np.split(scores, borders), np.split(rows, borders), strict=True)
    for one, own_scores, own_rows in parts:
        if not one.answer.done():  # its client may be gone
            one.answer.set_result((own_scores, own_rows))


def _tell_all(batch: list[_Waiting], error: Exception) -> None:
    for one in batch:
        if not one.answer.done():
            one.answer.set_exception(error)
