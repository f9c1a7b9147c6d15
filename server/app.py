"""The retrieval service as an application: routes, limits, and errors as one sentence of JSON.

    app = create_app(ServerSettings(knowledge_base_path=Path("knowledge_base")))

The event loop receives requests and sends answers, so a slow client delays nobody. One thread
searches vectors in batches (batching.py). Parsing requests and composing answers, which take long
if they are large, happen in a pool of threads.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from hone.api_keys import ApiKeys
from hone.errors import BadInput, HoneError
from hone.who_may_ask import WhoMayAsk
from kb.store import hone_version
from server.admission import VARIABLE
from server.answering import answering
from server.batching import Batcher
from server.bodies import BodyLimits
from server.browsing import browsing
from server.knowledge_bases import KnowledgeBases, Place
from server.metrics import Metrics
from server.page import page_routes
from server.query_embedder import QueryEmbedder
from server.questions import first_of
from server.requests_told import RequestsTold
from server.routes import open_to_all, with_key

if TYPE_CHECKING:
    from server.server import ServerSettings

log = logging.getLogger("hone.server")


def create_app(settings: ServerSettings, bases: KnowledgeBases | None = None) -> FastAPI:
    """The application over `bases`, or over those that the settings name, opened when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        opened = bases
        if opened is None:
            opened = await run_in_threadpool(open_bases, settings)
        async with _serving(app, settings, opened):
            yield

    app = FastAPI(
        title="Hone",
        summary="Records of a knowledge base by embedding",
        version=hone_version(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.bases, app.state.metrics = None, Metrics()
    keys = ApiKeys.from_environment(VARIABLE, os.environ)
    app.state.who_may_ask = WhoMayAsk(settings.host, keys)
    app.state.embedder = QueryEmbedder() if settings.embed_queries else None
    for routes in (open_to_all, with_key, browsing, page_routes(embeds=settings.embed_queries)):
        app.include_router(routes)
    app.add_middleware(
        BodyLimits, limit=settings.max_body_mb << 20, seconds=settings.max_body_seconds
    )
    app.add_middleware(RequestsTold, metrics=app.state.metrics)
    app.add_exception_handler(HoneError, _say_hone_error)
    app.add_exception_handler(RequestValidationError, _say_unusable)
    app.add_exception_handler(AnyHTTPException, _say_http_error)
    return app


def open_bases(settings: ServerSettings) -> KnowledgeBases:
    first = settings.knowledge_base_path
    places = [
        Place(first.resolve().name, first),
        *map(Place.parse, settings.more_knowledge_bases),
    ]
    return KnowledgeBases(places, "faiss" if settings.only_faiss else "sift")


@asynccontextmanager
async def _serving(
    app: FastAPI, settings: ServerSettings, bases: KnowledgeBases
) -> AsyncIterator[None]:
    metrics: Metrics = app.state.metrics
    app.state.batcher = Batcher(
        metrics, most_waiting=settings.queue_size, most_together=settings.batch_size
    )
    try:
        app.state.answering = answering()
        async with app.state.batcher.running():
            watching = asyncio.create_task(bases.watch(settings.reload_seconds, metrics))
            app.state.bases = bases
            yield
            app.state.bases = None
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
    finally:
        bases.close()


async def _say_hone_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, BadInput):
        return JSONResponse({"error": str(error)}, 422)
    log.error("a search failed: %s", error)  # most likely a damaged knowledge base
    return JSONResponse({"error": str(error)}, 500)


async def _say_unusable(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"error": first_of(error.errors())}, 422)


async def _say_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnyHTTPException)
    said = {
        404: f"no route {request.url.path}; see /openapi.json",
        405: f"{request.url.path} does not take {request.method}; see /openapi.json",
    }
    return JSONResponse(
        {"error": said.get(error.status_code, error.detail)}, error.status_code, error.headers
    )
