"""Gives every request an id, a line in the log and a place in the metrics.

The id is the client's own if it sends `x-request-id`, so that both logs have the same id, and the
answer carries it back. An unexpected error ends here: it is logged with its traceback, and the
client is told the id.
"""

from __future__ import annotations

import logging
import re
import time
from typing import Any
from uuid import uuid4

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.logs import request_id
from server.metrics import Metrics

_SOUND_ID = re.compile(rb"[\w.:-]{1,128}")
_HEADER = b"x-request-id"
_CLIENT_GONE = 499  # in log and metrics only, as other servers use it: the client is gone
log = logging.getLogger("hone.server")


class RequestsTold:
    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        about = _given_id(scope) or uuid4().hex
        token, began, status = request_id.set(about), time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (_HEADER, about.encode())]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except ClientDisconnect:
            status = _CLIENT_GONE
        except Exception:
            log.exception("a request failed")
            if status:  # a part of the answer was sent; uvicorn ends the connection
                raise
            said = f"the server failed; its log says why, under request id {about}"
            await JSONResponse({"error": said}, 500)(scope, receive, noted)
        finally:
            self._tell(scope, status, time.perf_counter() - began)
            request_id.reset(token)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")  # not the path: clients can invent any
        self.metrics.requests.labels(route, status).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        told: dict[str, Any] = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(1000 * seconds, 2),
            "client": (scope.get("client") or [None])[0],
            **scope.get("state", {}).get("asked", {}),
        }
        level = logging.WARNING if status >= 500 or status == 429 else logging.INFO
        log.log(level, "answered", extra={"told": told})


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == _HEADER and _SOUND_ID.fullmatch(value):
            return str(value.decode())
    return None
