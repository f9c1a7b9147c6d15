"""Bodies are taken in up to a size, all together up to a sum, and for so long."""

from __future__ import annotations

import asyncio

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from server.bodies import BodyLimits

SCOPE: Scope = {"type": "http", "headers": []}


async def nowhere(message: Message) -> None:
    """An answer that nobody reads."""


def arriving(*parts: bytes) -> Receive:
    following = iter(enumerate(parts, 1))

    async def receive() -> Message:
        number, part = next(following)
        return {"type": "http.request", "body": part, "more_body": number < len(parts)}

    return receive


async def read_whole(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["more_body"]:
        pass


def test_a_body_may_be_as_large_as_the_limit() -> None:
    limits = BodyLimits(read_whole, limit=100, seconds=5)
    asyncio.run(limits(SCOPE, arriving(b"x" * 60, b"x" * 40), nowhere))
    with pytest.raises(HTTPException, match="above 0 MiB") as caught:
        asyncio.run(limits(SCOPE, arriving(b"x" * 60, b"x" * 41), nowhere))
    assert caught.value.status_code == 413 and limits.held == 0


def test_all_bodies_together_are_limited_too() -> None:
    async def ask() -> list[BaseException | None]:
        answered = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await answered.wait()

        limits = BodyLimits(slow, limit=100, seconds=5)
        asked = [
            asyncio.ensure_future(limits(SCOPE, arriving(b"x" * 100), nowhere)) for _ in range(18)
        ]
        await asyncio.sleep(0)
        answered.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert limits.held == 0
        return found

    *fine, first, second = asyncio.run(ask())
    assert fine == [None] * 16
    for refused in (first, second):
        assert isinstance(refused, HTTPException) and refused.status_code == 429


def test_a_body_that_drips_is_waited_for_as_long_as_one_that_stalls() -> None:
    async def dripping() -> Message:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x", "more_body": True}

    limits = BodyLimits(read_whole, limit=100, seconds=0.2)
    with pytest.raises(HTTPException, match=r"did not arrive within 0\.2 s") as caught:
        asyncio.run(limits(SCOPE, dripping, nowhere))
    assert caught.value.status_code == 408 and limits.held == 0
