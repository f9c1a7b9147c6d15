"""uvicorn's HTTP protocol with limits on how long it waits for a client.

uvicorn itself waits forever for a connection's first request, for the end of a request's head, and
for a client to read its answer. Each such client holds a file handle, and one that does not read
also holds its answer in memory.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEEP_ALIVE = 30  # seconds between two requests; our clients disconnect earlier
HEAD_SECONDS = 10  # after these, or after connecting, until a request's head is complete
READ_SECONDS = 30  # in which a client may read nothing of what is ready for it


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
        """Disconnects, unless a request is in progress; its end starts the next wait for a head."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
