"""One thread answers one order at a time; a limited number may wait, further ones are refused.

    async with desk.open():
        desk.enter(order)                 # Refusal with status 429 if too many wait
        async for event in order.events():
            ...
        desk.leave(order)                 # the client is gone: the order is cancelled

Training and decoding check at every step whether the order was cancelled.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING

from client.door.refusal import SERVER, Refusal
from client.text_answerer import Answer, Asked, TextAnswerer
from hone.errors import HoneError

if TYPE_CHECKING:
    from client.text_stream import Piece

log = logging.getLogger("hone.door")
_RETRY_SECONDS = "5"


@dataclass(frozen=True)
class Spoken:
    """A piece of an answer, with the index of the query in the order, and of the answer to it."""

    query: int
    answer: int
    piece: Piece


@dataclass(frozen=True)
class Answered:
    """All answers to a query of the order are complete."""

    query: int
    answer: Answer


@dataclass(frozen=True)
class Failed:
    refusal: Refusal


Heard = Spoken | Answered | Failed


class _Left(Exception):
    """The order was cancelled, because nobody waits for it any more."""


class Order:
    """The queries of a request, and their events as they are answered. Made on the event loop."""

    def __init__(self, answerer: TextAnswerer, asked: Sequence[Asked], *, adapt: bool) -> None:
        self.answerer, self.adapt = answerer, adapt
        self.asked = [self._heard(i, one) for i, one in enumerate(asked)]
        self.left = Event()
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Heard | None] = asyncio.Queue()

    async def events(self) -> AsyncIterator[Heard]:
        """Events until the order is complete; if it fails, the last event is Failed."""
        while (event := await self._events.get()) is not None:
            yield event

    def check(self) -> None:
        if self.left.is_set():
            raise _Left

    def work(self) -> list[Answer]:
        """Answers all queries, in the desk's thread, and sends an event for each."""
        done = []
        for i, answer in self.answerer.answer_each(self.asked, adapt=self.adapt):
            self.tell(Answered(i, answer))
            done.append(answer)
        return done

    def tell(self, event: Heard | None) -> None:
        """Sends an event to the event loop; None ends the stream."""
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def _heard(self, query: int, asked: Asked) -> Asked:
        return dataclasses.replace(asked, on_piece=partial(self._speak, query))

    def _speak(self, query: int, answer: int, piece: Piece) -> None:
        self.check()
        self.tell(Spoken(query, answer, piece))


class Desk:
    def __init__(
        self, most_waiting: int, on_answers: Callable[[list[Answer]], None] = lambda answers: None
    ) -> None:
        """`on_answers` is called in the desk's thread with the answers of every completed order."""
        self.most_waiting, self.on_answers = most_waiting, on_answers
        self._line: deque[Order] = deque()
        self._changed = Condition()
        self._closed = False
        self._current: Order | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Runs the desk's thread. On exit, cancels all orders and waits for the thread."""
        thread = Thread(target=self._serve, name="door", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._close()
            await asyncio.to_thread(thread.join)

    def enter(self, order: Order) -> None:
        with self._changed:
            if len(self._line) >= self.most_waiting:
                raise Refusal(
                    429,
                    f"{len(self._line)} requests are waiting already; try again in a moment",
                    kind="rate_limit_error",
                    code="rate_limit_exceeded",
                    headers={"retry-after": _RETRY_SECONDS},
                )
            self._line.append(order)
            self._changed.notify()

    def leave(self, order: Order) -> None:
        with self._changed:
            order.left.set()
            if order in self._line:
                self._line.remove(order)

    def check(self) -> None:
        """To be called at every training step: raises if the current order was cancelled."""
        if self._current is not None:
            self._current.check()

    def _serve(self) -> None:
        while (order := self._next()) is not None:
            self._current = order
            if (failed := self._failure(order)) is not None:
                order.tell(failed)
            order.tell(None)
            self._current = None

    def _next(self) -> Order | None:
        with self._changed:
            self._changed.wait_for(lambda: self._line or self._closed)
            return None if self._closed else self._line.popleft()

    def _failure(self, order: Order) -> Failed | None:
        """Answers the order; returns what went wrong, if anything did."""
        try:
            self.on_answers(order.work())
        except _Left:
            log.info("a client left before its answer was written")
        except HoneError as error:
            return Failed(Refusal.of(error))
        except Exception:
            log.exception("a request failed")
            return Failed(Refusal(500, "the server failed; its log says why", kind=SERVER))
        return None

    def _close(self) -> None:
        with self._changed:
            self._closed = True
            for order in (*self._line, *filter(None, [self._current])):
                order.left.set()
            self._line.clear()
            self._changed.notify()
