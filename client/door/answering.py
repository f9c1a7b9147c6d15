"""Answers the order of a request: in one response, or in chunks while the answer is written.

No response begins before the order's first event, so that an order that fails at once is refused
with an HTTP status of its own. If the client disconnects, its order is cancelled.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from client.door.desk import Answered, Desk, Failed, Heard, Spoken
from client.door.refusal import SERVER, Refusal
from client.door.shapes import Envelope, Object, how
from client.text_answerer import Answer
from client.text_stream import Token

Result = TypeVar("Result")
_DONE = "data: [DONE]\n\n"


async def answered(http: Request, desk: Desk, envelope: Envelope, *, stream: bool) -> Response:
    desk.enter(envelope.order)
    with ExitStack() as leaving:
        leaving.callback(desk.leave, envelope.order)
        events = envelope.order.events()
        if not stream:
            return JSONResponse(await _unless_gone(http, _whole(envelope, events)))
        first = await _unless_gone(http, _first(events))
        lines = _lines(envelope, first, events, leaving.pop_all())
        return StreamingResponse(
            lines, media_type="text/event-stream", headers={"cache-control": "no-cache"}
        )


async def _unless_gone(http: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`, or ClientDisconnect if the client disconnects before."""
    working, gone = asyncio.create_task(work), asyncio.create_task(_gone(http))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        gone.cancel()


async def _gone(http: Request) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


async def _whole(envelope: Envelope, events: AsyncIterator[Heard]) -> Object:
    answers: dict[int, Answer] = {}
    tokens: defaultdict[int, list[Token]] = defaultdict(list)
    async for event in events:
        if isinstance(event, Failed):
            raise event.refusal
        if isinstance(event, Answered):
            answers[event.query] = event.answer
        else:
            tokens[envelope.place(event)] += event.piece.tokens
    if len(answers) < len(envelope.order.asked):
        raise _closing()
    return envelope.whole([answers[i] for i in sorted(answers)], tokens)


async def _first(events: AsyncIterator[Heard]) -> Heard:
    event = await anext(events, None)
    if event is None:
        raise _closing()
    if isinstance(event, Failed):
        raise event.refusal
    return event


def _closing() -> Refusal:
    return Refusal(503, "the server is shutting down; try again later", kind=SERVER)


async def _lines(
    envelope: Envelope, first: Heard, events: AsyncIterator[Heard], leaving: ExitStack
) -> AsyncIterator[str]:
    with leaving:
        chunks = _Chunks(envelope)
        for chunk in chunks.of(first):
            yield _line(chunk)
        async for event in events:
            if isinstance(event, Failed):
                yield _line(event.refusal.body())
                return
            for chunk in chunks.of(event):
                yield _line(chunk)
        if envelope.tells_usage:
            yield _line(envelope.chunk([], usage=envelope.usage(chunks.answers)))
        yield _DONE


class _Chunks:
    """The chunks that each event adds to the answer."""

    def __init__(self, envelope: Envelope) -> None:
        self.envelope, self.shape = envelope, envelope.shape
        self.answers: list[Answer] = []
        self._begun: set[int] = set()

    def of(self, event: Heard) -> Iterator[Object]:
        if isinstance(event, Spoken):
            yield from self._spoken(event)
        elif isinstance(event, Answered):
            self.answers.append(event.answer)
            last = len(event.answer.said) - 1
            for i, said in enumerate(event.answer.said):
                place = event.query * self.envelope.answers + i
                yield from self._begin(place)
                more = {"hone": [how(event.answer)]} if i == last else {}
                yield self._chunk(place, self.shape.more("", None), said.ended, **more)

    def _spoken(self, event: Spoken) -> Iterator[Object]:
        place, piece = self.envelope.place(event), event.piece
        yield from self._begin(place)
        tokens = piece.tokens if self.envelope.shows_tokens else None
        if piece.text or tokens:
            yield self._chunk(place, self.shape.more(piece.text, tokens))

    def _begin(self, place: int) -> Iterator[Object]:
        if place not in self._begun and (first := self.shape.first()) is not None:
            yield self._chunk(place, first)
        self._begun.add(place)

    def _chunk(self, place: int, choice: Object, ended: str | None = None, **more: Any) -> Object:
        usage = {"usage": None} if self.envelope.tells_usage else {}
        own = choice | {"index": place, "finish_reason": ended}
        return self.envelope.chunk([own], **usage, **more)


def _line(value: Object) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False, allow_nan=False)}\n\n"
