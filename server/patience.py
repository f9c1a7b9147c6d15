"""uvicorn's HTTP over a connection, without its endless patience.

uvicorn waits forever for a connection's first request to begin, for one that began to reach the end
of its head, and for an answer to be read. Each such client holds a file handle, and one that does
not read holds its answer.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEEP_ALIVE = 30  # seconds between two requests; clients of ours let go earlier
HEAD_SECONDS = 10  # from there, or from the start, to the end of a request's head
READ_SECONDS = 30  # in which a client reads nothing of what is ready for it


class PatientProtocol(HttpToolsProtocol):
    _head: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head = self.loop.call_later(HEAD_SECONDS, self._give_up_on_head)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._head, self._unread):
            if timer is not None:
                timer.cancel()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._head is not None:
            self._head.cancel()
        self._head = self.loop.call_later(KEEP_ALIVE + HEAD_SECONDS, self._give_up_on_head)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def _give_up_on_head(self) -> None:
        """Unless a request is under way: its end begins the wait for the next head."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
