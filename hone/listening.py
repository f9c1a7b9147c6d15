"""A listening socket, bound before anything large is loaded, so that a used port is noticed.

with listening_socket("127.0.0.1", 8000) as listener: ...
"""

from __future__ import annotations

import errno
import socket

from hone.errors import BadInput


def listening_socket(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise BadInput(f"no address {host!r}: {error.strerror}; choose another --host") from None
    # the protocol is given, because otherwise asyncio does not set TCP_NODELAY, and the kernel
    # holds back the second packet of an answer for 40 ms until the first is acknowledged
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
