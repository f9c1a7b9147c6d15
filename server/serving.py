"""Serves the application on a socket: announces when it is ready, and drains when told to stop."""

from __future__ import annotations

import signal
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from hone.listening import url_of
from server.admission import VARIABLE
from server.app import create_app, open_bases
from server.knowledge_bases import KnowledgeBases
from server.logs import log_config
from server.patience import KEEP_ALIVE, PatientProtocol
from server.query_embedder import QueryEmbedder

if TYPE_CHECKING:
    from server.server import ServerSettings

DRAIN_SECONDS = 30  # time for requests under way at the signal to stop


class AnnouncingServer(uvicorn.Server):
    """A server that prints one line as soon as it answers requests."""

    def __init__(self, config: uvicorn.Config, ready_line: str) -> None:
        super().__init__(config)
        self.ready_line = ready_line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self.ready_line, flush=True)


def serve(settings: ServerSettings, listener: socket.socket) -> None:
    """Answers requests until SIGTERM or SIGINT, then completes those under way."""
    # uvicorn raises the signal again when it has drained
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    bases = open_bases(settings)
    app = create_app(settings, bases)
    if settings.embed_queries:
        _open_embedders(app.state.embedder, bases)
    if app.state.who_may_ask.anybody:
        print(
            f"note: anyone who can reach {url_of(listener)} may search it; set {VARIABLE} in the"
            " environment to require keys",
            file=sys.stderr,
        )
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        log_config=log_config(settings.log_level),
        access_log=False,  # RequestsTold logs more
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        server_header=False,
    )
    ready_line = f"serving {_named(bases)} on {url_of(listener)}"
    AnnouncingServer(config, ready_line).run(sockets=[listener])


def _open_embedders(embedder: QueryEmbedder, bases: KnowledgeBases) -> None:
    """Opens the embedders now, so that a missing one is noticed before the first query."""
    for served in bases.current().values():
        embedder.opened_for(served.base.manifest)


def _named(bases: KnowledgeBases) -> str:
    return ", ".join(
        f"{served.place.path} ({served.base.manifest.records} records,"
        f" embedder {served.base.manifest.embedder})"
        for served in bases.current().values()
    )
