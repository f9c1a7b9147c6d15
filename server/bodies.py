"""Limits on request bodies: how large they may be, and how long they may take to arrive.

The event loop reads bodies, so a client that stalls holds no worker thread. With these limits it
holds little memory, and not forever.
"""

from __future__ import annotations

import asyncio
import time

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BODIES_AT_ONCE = 16  # of the largest size; the most that unanswered requests may hold


class BodyLimits:
    """Checks a body's size by the length that its request states and by what arrives, and its time
    from the moment when the app begins to read it."""

    def __init__(self, app: ASGIApp, limit: int, seconds: float) -> None:
        self.app, self.limit, self.seconds = app, limit, seconds
        self.held = 0  # bytes
        self.too_large = (
            f"the request body is above {limit >> 20} MiB; ask for fewer vectors at a time"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif _stated_length(scope) > self.limit:
            await JSONResponse({"error": self.too_large}, 413)(scope, receive, send)
        else:
            body = _Body(self, receive)
            try:
                await self.app(scope, body.receive, send)
            finally:
                self.held -= body.arrived


class _Body:
    """One body as it arrives."""

    def __init__(self, limits: BodyLimits, receive: Receive) -> None:
        self._limits, self._receive = limits, receive
        self._whole, self._deadline = False, 0.0
        self.arrived = 0

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()  # waits for the client to disconnect
        message = await self._in_time()
        size = len(message.get("body", b""))
        self.arrived += size
        self._limits.held += size
        self._whole = not message.get("more_body", False)
        if self.arrived > self._limits.limit:
            raise HTTPException(413, self._limits.too_large)
        if self._limits.held > _BODIES_AT_ONCE * self._limits.limit:
            raise HTTPException(
                429, "too many large requests at once; try again in a moment", {"retry-after": "1"}
            )
        return message

    async def _in_time(self) -> Message:
        seconds, now = self._limits.seconds, time.monotonic()
        self._deadline = self._deadline or now + seconds
        try:
            async with asyncio.timeout(self._deadline - now):
                return await self._receive()
        except TimeoutError:
            raise HTTPException(
                408,
                f"the request body did not arrive within {seconds:g} s; send it faster, or less",
                {"connection": "close"},
            ) from None


def _stated_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
