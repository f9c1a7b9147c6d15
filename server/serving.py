"""Runs the app on a socket: says when it is ready, and drains when it is told to stop."""

from __future__ import annotations

import errno
import signal
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from hone.errors import BadInput
from server.api_keys import VARIABLE
from server.app import create_app, open_bases
from server.knowledge_bases import KnowledgeBases
from server.logs import log_config
from server.patience import KEEP_ALIVE, PatientProtocol
from server.query_embedder import QueryEmbedder

if TYPE_CHECKING:
    from server.server import ServerSettings

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
DRAIN_SECONDS = 30  # for requests under way when the server is told to stop


class AnnouncingServer(uvicorn.Server):
    """Prints one line once requests are answered."""

    def __init__(self, config: uvicorn.Config, ready_line: str) -> None:
        super().__init__(config)
        self.ready_line = ready_line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self.ready_line, flush=True)


def serve(settings: ServerSettings, listener: socket.socket) -> None:
    """Answers requests until SIGTERM or SIGINT, then finishes those under way."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again when drained
    bases = open_bases(settings)
    app = create_app(settings, bases)
    if settings.embed_queries:
        _open_embedders(app.state.embedder, bases)
    if settings.host not in _LOOPBACK and not app.state.keys:
        print(
            f"note: whoever reaches {url_of(listener)} may search there; {VARIABLE} in the"
            " environment asks for keys",
            file=sys.stderr,
        )
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        log_config=log_config(settings.log_level),
        access_log=False,  # RequestsTold says more
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        server_header=False,
    )
    ready_line = f"serving {_named(bases)} on {url_of(listener)}"
    AnnouncingServer(config, ready_line).run(sockets=[listener])


def _open_embedders(embedder: QueryEmbedder, bases: KnowledgeBases) -> None:
    """Now rather than at the first query, so that what is missing is known."""
    for served in bases.current().values():
        embedder.opened_for(served.base.manifest)


def _named(bases: KnowledgeBases) -> str:
    return ", ".join(
        f"{served.place.path} ({served.base.manifest.records} records,"
        f" embedder {served.base.manifest.embedder})"
        for served in bases.current().values()
    )


def listening_socket(host: str, port: int) -> socket.socket:
    """Bound before the knowledge base is read, so that a port in use is known at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise BadInput(f"no address {host!r}: {error.strerror}; choose another --host") from None
    # with its protocol said: else asyncio leaves the kernel to hold back the second packet of an
    # answer until the first is acknowledged, which takes 40 ms
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise BadInput(_why_not(host, port, error)) from None
    return listener


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; choose another with --port"
    return f"cannot listen on {host} port {port}: {error.strerror}; choose another"
