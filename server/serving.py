"""Runs the app on a socket: says when it is ready, and drains when it is told to stop."""

from __future__ import annotations

import errno
import signal
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from hone.errors import BadInput
from kb.store import KnowledgeBase
from server.app import create_app

if TYPE_CHECKING:
    from server.server import ServerSettings

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
    base = KnowledgeBase.open(settings.knowledge_base_path)
    config = uvicorn.Config(
        create_app(settings, base),
        log_level=settings.log_level,
        lifespan="on",
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    manifest = base.manifest
    ready_line = (
        f"serving {settings.knowledge_base_path} ({manifest.records} records,"
        f" embedder {manifest.embedder}) on {url_of(listener)}"
    )
    AnnouncingServer(config, ready_line).run(sockets=[listener])


def listening_socket(host: str, port: int) -> socket.socket:
    """Bound before the knowledge base is read, so that a port in use is known at once."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise BadInput(f"no address {host!r}: {error.strerror}; choose another --host") from None
    listener = socket.socket(family, socket.SOCK_STREAM)
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
