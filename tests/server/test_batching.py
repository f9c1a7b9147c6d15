"""The line before the search: who waits together is searched together, and gets its own answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from fastapi import HTTPException

from kb.store import Manifest, Rows, Scores, Vectors
from server.batching import Batcher
from server.metrics import Metrics

TABLE = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)


class Gated:
    """A store of a few vectors, which searches when it is let, and notes what it was asked."""

    manifest: Manifest

    def __init__(self) -> None:
        self.gate, self.asked = threading.Event(), list[tuple[int, int]]()
        self.fails = False

    def nearest(
        self, queries: Vectors, k: int, sources: Sequence[str] | None
    ) -> tuple[Scores, Rows]:
        assert self.gate.wait(10)
        self.asked.append((len(queries), k))
        if self.fails:
            raise OSError("the disk is gone")
        scores = queries @ TABLE.T
        rows = np.argsort(-scores, axis=1)[:, :k]
        return np.take_along_axis(scores, rows, axis=1), rows

    def vectors(self, rows: Rows) -> Vectors:
        return TABLE[rows]

    def records(self, rows: Sequence[int]) -> list[Any]:
        return []

    def close(self) -> None:
        pass

    @contextmanager
    def held(self) -> Iterator[None]:
        self.gate.clear()
        yield
        self.gate.set()


def queries(count: int, seed: int = 1) -> Vectors:
    return np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)


Answer = tuple[Scores, Rows]


def answered(
    ask: Callable[[Batcher, Gated], Awaitable[Any]], *, most: int = 1024, together: int = 128
) -> tuple[Any, Gated]:
    """What `ask` gets, and the store with what it was asked."""

    async def run() -> Any:
        batcher = Batcher(Metrics(), most_waiting=most, most_together=together)
        async with batcher.running():
            return await ask(batcher, store)

    store = Gated()
    return asyncio.run(run()), store


async def while_one_is_searched(
    batcher: Batcher, store: Gated, *asked: tuple[Vectors, int, Sequence[str] | None]
) -> list[Answer | BaseException]:
    """A first question is being searched when the others come."""
    with store.held():
        tasks = [asyncio.ensure_future(batcher.nearest(store, queries(1), 3, None))]
        await asyncio.sleep(0.01)
        assert not batcher.waiting
        tasks += [asyncio.ensure_future(batcher.nearest(store, *one)) for one in asked]
        await asyncio.sleep(0.01)
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_what_waits_together_is_searched_together() -> None:
    several = [(queries(n, seed=n), 3, None) for n in (1, 4, 2)]
    found, store = answered(lambda b, s: while_one_is_searched(b, s, *several))
    assert store.asked == [(1, 3), (7, 3)]
    for (own, reach, _), (scores, rows) in zip(several, found[1:], strict=True):
        alone = store.nearest(own, reach, None)
        np.testing.assert_array_equal(rows, alone[1])
        np.testing.assert_allclose(scores, alone[0], rtol=1e-5)


def test_other_kinds_of_questions_are_searched_apart_in_the_order_of_the_first() -> None:
    several = [
        (queries(1), 5, None),
        (queries(1), 3, None),
        (queries(1), 5, ["a"]),
        (queries(2), 5, None),
        (queries(1), 5, ["a"]),
    ]
    _, store = answered(lambda b, s: while_one_is_searched(b, s, *several))
    assert store.asked == [(1, 3), (3, 5), (1, 3), (2, 5)]


def test_a_batch_has_room_for_so_many_and_a_large_question_goes_alone() -> None:
    several = [(queries(n), 3, None) for n in (2, 9, 1, 1, 3)]
    _, store = answered(lambda b, s: while_one_is_searched(b, s, *several), together=4)
    assert [count for count, _ in store.asked] == [1, 4, 9, 3]


def test_who_finds_the_line_full_is_told_when_to_come_back() -> None:
    several = [(queries(n), 3, None) for n in (200, 50, 7, 6)]
    found, store = answered(lambda b, s: while_one_is_searched(b, s, *several), most=256)
    refused = found[3]
    assert isinstance(refused, HTTPException) and refused.status_code == 429
    assert "250 vectors are waiting, of at most 256" in refused.detail
    assert refused.headers and int(refused.headers["retry-after"]) >= 1
    assert [count for count, _ in store.asked] == [1, 200, 56]  # the smaller one behind fits


def test_what_goes_wrong_is_told_to_each_and_ends_nothing() -> None:
    async def ask(batcher: Batcher, store: Gated) -> Any:
        store.fails = True
        failed = await while_one_is_searched(batcher, store, *[(queries(1), 3, None)] * 2)
        store.fails = False
        return failed, await batcher.nearest(store, queries(2), 3, None)

    (failed, after), _ = answered(ask)
    assert [str(error) for error in failed] == ["the disk is gone"] * 3
    assert after[1].shape == (2, 3)


def test_a_question_that_is_given_up_harms_no_other() -> None:
    async def ask(batcher: Batcher, store: Gated) -> Any:
        with store.held():
            tasks = [
                asyncio.ensure_future(batcher.nearest(store, queries(1), 3, None)) for _ in range(3)
            ]
            await asyncio.sleep(0.01)
            tasks[1].cancel()
        return await asyncio.gather(tasks[0], tasks[2])

    found, _ = answered(ask)
    assert [rows.shape for _, rows in found] == [(1, 3)] * 2


def test_those_that_were_answered_together_are_waited_for_but_not_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ask(batcher: Batcher, store: Gated) -> Any:
        await while_one_is_searched(batcher, store, *[(queries(1), 3, None)] * 3)
        batcher._last_seconds = 2.0  # so a tenth of a second is what it waits
        one, other = (
            asyncio.ensure_future(batcher.nearest(store, queries(1), 3, None)) for _ in range(2)
        )
        await asyncio.sleep(0.02)
        waiting = batcher.waiting
        await asyncio.gather(one, other)
        return waiting

    waiting, store = answered(ask)
    assert waiting == 2 and [count for count, _ in store.asked] == [1, 3, 2]


def test_the_queue_and_the_batches_are_counted() -> None:
    async def ask(batcher: Batcher, store: Gated) -> str:
        await while_one_is_searched(batcher, store, (queries(4), 3, None))
        return batcher._metrics.page().decode()

    page, _ = answered(ask)
    assert "hone_batch_vectors_sum 5.0" in page and "hone_batch_vectors_count 2.0" in page
    assert "hone_queue_vectors 0.0" in page and "hone_queue_limit_vectors 1024.0" in page
    assert 'hone_phase_seconds_count{phase="queue"} 2.0' in page
