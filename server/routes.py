"""The routes under /v1, and those that operators ask."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from kb import wire
from kb.retriever import Question
from kb.store import Rows, Scores
from server.api_keys import check_key
from server.batching import Batcher
from server.knowledge_bases import KnowledgeBases, Served
from server.metrics import Metrics
from server.questions import asked, described

_SMALL_BODY = 1 << 14  # bytes that are parsed in less time than a thread takes to wake up

open_to_all = APIRouter()
with_key = APIRouter(dependencies=[Depends(check_key)])


class Failure(BaseModel):
    """What every answer that is not a success says."""

    error: str = Field(description="what was wrong and what to do next, in one sentence")


class Health(BaseModel):
    status: str


class MetricsPage(PlainTextResponse):
    media_type = CONTENT_TYPE_LATEST


def _failures(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Failure} for code in codes}


@with_key.get("/v1/info", responses=_failures(401, 422, 503))
async def info(request: Request, knowledge_base: str | None = None) -> wire.KnowledgeBaseInfo:
    """Versions, the embedder to ask with, and what the knowledge base holds."""
    with _bases(request).use(knowledge_base) as served:
        return served.retriever.info()


@with_key.get("/v1/knowledge_bases", responses=_failures(401, 503))
async def knowledge_bases(request: Request) -> wire.KnowledgeBaseList:
    """Everything that is served, by name."""
    bases = _bases(request)
    infos = {name: served.retriever.info() for name, served in bases.current().items()}
    return wire.KnowledgeBaseList(default=bases.default, knowledge_bases=infos)


@with_key.post(
    "/v1/search",
    response_model=wire.SearchResponse,
    responses=_failures(401, 408, 413, 422, 429, 503),
    openapi_extra=described(),
)
async def search(request: Request) -> Response:
    """The records nearest to each vector, or those that SIFT picks among them."""
    bases, metrics = _bases(request), _metrics(request)
    batcher: Batcher = request.app.state.batcher
    with metrics.phase("read"):
        body = await request.body()
    with metrics.phase("parse"):
        if len(body) <= _SMALL_BODY:
            vectors, options = asked(request, body)
        else:
            vectors, options = await run_in_threadpool(asked, request, body)
    with bases.use(options.knowledge_base) as served:
        question = served.retriever.question(
            vectors,
            options.k,
            method=options.method,
            sources=options.sources,
            stop=options.stop,
        )
        request.state.asked = _told(served, question)
        store = served.retriever.store
        near = await batcher.nearest(store, question.queries, question.reach, question.sources)
        with metrics.phase("answer"):
            content = await run_in_threadpool(_answer, served, question, *near)
    return Response(content, media_type=wire.JSON)


@open_to_all.get("/healthz")
async def healthz() -> Health:
    """Whether the process answers at all."""
    return Health(status="alive")


@open_to_all.get("/readyz", responses=_failures(503))
async def readyz(request: Request) -> Health:
    """Whether searches are answered."""
    _bases(request)
    return Health(status="ready")


@with_key.get("/metrics", response_class=MetricsPage, responses=_failures(401))
async def metrics(request: Request) -> str:
    """Requests, phases, the queue, batches and what is served, as Prometheus reads them."""
    return _metrics(request).page().decode()


def _answer(served: Served, question: Question, scores: Scores, rows: Rows) -> str:
    """Selection, records and JSON, all in a worker thread."""
    hits = served.retriever.hits(question, scores, rows)
    content_hash = served.base.manifest.content_hash
    found = wire.SearchResponse(method=question.method, content_hash=content_hash, hits=hits)
    return found.model_dump_json()


def _told(served: Served, question: Question) -> dict[str, Any]:
    """What the log says of a search."""
    return {
        "knowledge_base": served.place.name,
        "vectors": len(question.queries),
        "k": question.k,
        "selection": question.method,
    }


def _bases(request: Request) -> KnowledgeBases:
    bases: KnowledgeBases | None = request.app.state.bases
    if bases is None:
        raise HTTPException(503, "the knowledge base is not open; try again in a moment")
    return bases


def _metrics(request: Request) -> Metrics:
    found: Metrics = request.app.state.metrics
    return found
