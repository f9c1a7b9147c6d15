"""The application: OpenAI's routes, whose requests are answered by one desk.

admission = Admission(WhoMayAsk("127.0.0.1", keys))
app = create_app(OrderMaker(adaptation, 256, adapt=True), Desk(8), admission)
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from client.door import asked
from client.door.admission import Admission
from client.door.answering import answered
from client.door.desk import Desk, Order
from client.door.orders import OrderMaker
from client.door.refusal import SERVER, Refusal
from client.door.shapes import Chat, Completion, Envelope, Shape, told_model
from hone.errors import HoneError
from hone.files import short_hash
from hone.settings import as_plain

MOST_BYTES = 8 << 20  # largest body of a request
_CLIENT_GONE = 499  # the client has disconnected and will not read it


def create_app(
    orders: OrderMaker,
    desk: Desk,
    admission: Admission,
    on_ready: Callable[[], None] = lambda: None,
) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with desk.open():
            on_ready()
            yield

    door = Door(orders, desk, admission)
    return Starlette(
        routes=[
            Route("/healthz", door.healthz),
            Route("/v1/models", door.models),
            Route("/v1/models/{name:path}", door.model),
            Route("/v1/chat/completions", door.chat, methods=["POST"]),
            Route("/v1/completions", door.completions, methods=["POST"]),
        ],
        exception_handlers={
            Refusal: _refuse,
            HoneError: _refuse_for,
            HTTPException: _refuse_route,
            ClientDisconnect: _nobody_there,
            Exception: _fail,
        },
        lifespan=lifespan,
    )


class Door:
    def __init__(self, orders: OrderMaker, desk: Desk, admission: Admission) -> None:
        self.orders, self.desk, self.admission = orders, desk, admission
        self.made = int(time.time())
        settings = as_plain(orders.chat.adaptation.settings)
        self.fingerprint = f"fp_{short_hash(orders.base.fingerprint, settings)}"
        decode = orders.chat.format.decoded
        self.as_chat, self.as_completion = Chat(decode), Completion(decode)

    async def healthz(self, http: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def models(self, http: Request) -> Response:
        self.admission.check(http)
        data = [told_model(name, self.made) for name in self.orders.models]
        return JSONResponse({"object": "list", "data": data})

    async def model(self, http: Request) -> Response:
        self.admission.check(http)
        self.orders.check(name := http.path_params["name"])
        return JSONResponse(told_model(name, self.made))

    async def chat(self, http: Request) -> Response:
        self.admission.check(http)
        request = asked.read_request(await _body(http), asked.ChatRequest)
        return await self._answered(http, request, self.orders.of_chat(request), self.as_chat)

    async def completions(self, http: Request) -> Response:
        self.admission.check(http)
        request = asked.read_request(await _body(http), asked.CompletionRequest)
        order = self.orders.of_completion(request)
        return await self._answered(http, request, order, self.as_completion)

    async def _answered(
        self, http: Request, request: asked.AnyRequest, order: Order, shape: Shape
    ) -> Response:
        envelope = Envelope(
            shape,
            order,
            request.model,
            self.fingerprint,
            answers=request.n,
            shows_tokens=request.likeliest is not None,
            tells_usage=request.stream_options.include_usage,
        )
        return await answered(http, self.desk, envelope, stream=request.stream)


async def _body(http: Request) -> bytes:
    """The body. Its content type must be JSON, because a web page in a browser can send text, but
    not JSON, to any address without permission."""
    if http.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refusal(415, "the content-type is not application/json; send that header")
    body = bytearray()
    async for part in http.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise Refusal(
                413, f"the request body is larger than {MOST_BYTES >> 20} MiB; shorten it"
            )
    return bytes(body)


async def _refuse(http: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return JSONResponse(refusal.body(), refusal.status, refusal.headers)


async def _refuse_for(http: Request, error: Exception) -> Response:
    assert isinstance(error, HoneError)
    return await _refuse(http, Refusal.of(error))


async def _refuse_route(http: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = f"{http.method} {http.url.path}: {error.detail}; docs/door.md lists the routes"
    return await _refuse(http, Refusal(error.status_code, said, headers=error.headers))


async def _nobody_there(http: Request, error: Exception) -> Response:
    return Response(status_code=_CLIENT_GONE)


async def _fail(http: Request, error: Exception) -> Response:
    return await _refuse(http, Refusal(500, "the server failed; its log says why", kind=SERVER))
