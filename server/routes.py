"""The routes for clients, under /v1, and those for operators."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from kb import wire
from server.admission import check_admission
from server.answering import answered, bases_of, failures, metrics_of, nearest
from server.questions import asked, described

_SMALL_BODY = 1 << 14  # bytes; such a body is parsed faster than a thread wakes up

open_to_all = APIRouter()
with_key = APIRouter(dependencies=[Depends(check_admission)])


class Health(BaseModel):
    status: str


class MetricsPage(PlainTextResponse):
    media_type = CONTENT_TYPE_LATEST


@with_key.get("/v1/info", responses=failures(401, 403, 422, 503))
async def info(request: Request, knowledge_base: str | None = None) -> wire.KnowledgeBaseInfo:
    """Versions, the embedder to use for queries, and what the knowledge base holds."""
    with bases_of(request).use(knowledge_base) as served:
        return served.retriever.info()


@with_key.get("/v1/knowledge_bases", responses=failures(401, 403, 503))
async def knowledge_bases(request: Request) -> wire.KnowledgeBaseList:
    """All knowledge bases that are served, by name."""
    bases = bases_of(request)
    infos = {name: served.retriever.info() for name, served in bases.current().items()}
    return wire.KnowledgeBaseList(default=bases.default, knowledge_bases=infos)


@with_key.post(
    "/v1/search",
    response_model=wire.SearchResponse,
    responses=failures(401, 403, 408, 413, 422, 429, 503),
    openapi_extra=described(),
)
async def search(request: Request) -> Response:
    """The records nearest to each vector, or those that SIFT selects among them."""
    bases, metrics = bases_of(request), metrics_of(request)
    with metrics.phase("read"):
        body = await request.body()
    with metrics.phase("parse"):
        if len(body) <= _SMALL_BODY:
            vectors, options = asked(request, body)
        else:
            vectors, options = await run_in_threadpool(asked, request, body)
    with bases.use(options.knowledge_base) as served:
        question = served.retriever.question(vectors, options)
        near = await nearest(request, served, question)
        return await answered(request, served, question, *near)


@open_to_all.get("/healthz")
async def healthz() -> Health:
    """Whether the process is alive."""
    return Health(status="alive")


@open_to_all.get("/readyz", responses=failures(503))
async def readyz(request: Request) -> Health:
    """Whether searches are answered."""
    bases_of(request)
    return Health(status="ready")


@with_key.get("/metrics", response_class=MetricsPage, responses=failures(401, 403))
async def metrics(request: Request) -> str:
    """Requests, phases, the queue, batches and knowledge bases, as metrics for Prometheus."""
    return metrics_of(request).page().decode()
