"""The routes that only the page uses: records, neighbours, the map, searches by text or task."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from hone.errors import BadInput
from kb import wire
from kb.exact_search import runs_of
from kb.records import Kind
from kb.retriever import options_of
from server.admission import check_admission
from server.answering import answered, bases_of, failures, metrics_of, nearest
from server.query_embedder import QueryEmbedder, Words, query_in
from server.questions import read

MOST_SHOWN = 100  # most records of an answer
_MOST_BYTES = 1 << 20  # most bytes of a query by text or task

browsing = APIRouter(dependencies=[Depends(check_admission)])
Start = Annotated[int, Query(ge=0, description="number of records to skip")]
Count = Annotated[int, Query(ge=1, le=MOST_SHOWN, description="number of records to return")]


class RecordShown(BaseModel):
    id: int
    source: str
    kind: Kind
    prompt: str
    answer: str


class RecordList(BaseModel):
    content_hash: str
    total: int = Field(description="number of records in all, of the source if one is named")
    records: list[RecordShown]


class Point(BaseModel):
    record: int
    x: float
    y: float
    source: int = Field(description="number of its source, counted from 0")


class MapShown(BaseModel):
    content_hash: str
    sources: list[str]
    points: list[Point]
    shown: float = Field(description="share of the sample's variance that the plane shows")


@browsing.get("/v1/records", responses=failures(401, 403, 422, 503))
async def records(
    request: Request,
    start: Start = 0,
    count: Count = 24,
    source: str | None = None,
    knowledge_base: str | None = None,
) -> RecordList:
    """Records in the order in which they are stored, of all sources or of one."""
    with bases_of(request).use(knowledge_base) as served:
        sources = None if source is None else [source]
        served.retriever.check_sources(sources)
        manifest = served.base.manifest
        (run,) = runs_of(manifest.sources, sources)
        chosen = run[start : start + count]
        found = await run_in_threadpool(served.base.records, chosen)
        return RecordList(
            content_hash=manifest.content_hash,
            total=len(run),
            records=[
                RecordShown(id=row, **vars(record))
                for row, record in zip(chosen, found, strict=True)
            ],
        )


@browsing.get(
    "/v1/neighbours",
    response_model=wire.SearchResponse,
    responses=failures(401, 403, 422, 429, 503),
)
async def neighbours(
    request: Request,
    record: int,
    k: Count = 12,
    source: str | None = None,
    knowledge_base: str | None = None,
) -> Response:
    """The records nearest to a given record, without that record itself."""
    with bases_of(request).use(knowledge_base) as served:
        held = served.base.manifest.records
        if not 0 <= record < held:
            raise BadInput(f"no record {record}; there are {held}, numbered from 0")
        vector = await run_in_threadpool(served.base.vectors, np.array([record]))
        sources = None if source is None else [source]
        options = options_of(k + 1, {"method": "faiss", "sources": sources})
        question = served.retriever.question(vector, options)
        scores, rows = await nearest(request, served, question)
        others = np.flatnonzero(rows[0] != record)[:k]
        return await answered(request, served, question, scores[:, others], rows[:, others])


@browsing.get("/v1/map", responses=failures(401, 403, 422, 503))
async def vector_map(request: Request, knowledge_base: str | None = None) -> MapShown:
    """A sample of the vectors, projected onto the plane in which they vary most."""
    with bases_of(request).use(knowledge_base) as served:
        found = await served.vector_map()
        columns = (found.rows, *found.places.T.round(4), found.sources)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return MapShown(
            content_hash=served.base.manifest.content_hash,
            sources=list(served.base.manifest.sources),
            points=[Point(record=row, x=x, y=y, source=source) for row, x, y, source in rows],
            shown=found.shown,
        )


@browsing.post(
    "/v1/ask",
    response_model=wire.SearchResponse,
    responses=failures(401, 403, 408, 413, 422, 429, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {wire.JSON: {"schema": Words.model_json_schema()}},
        }
    },
)
async def ask(request: Request) -> Response:
    """A search by a text or a task instead of vectors, if the operator allows it."""
    embedder: QueryEmbedder | None = request.app.state.embedder
    if embedder is None:
        raise HTTPException(
            403,
            "this server does not embed queries; its operator can allow it with --embed_queries",
        )
    bases, body = bases_of(request), await request.body()
    if len(body) > _MOST_BYTES:
        raise HTTPException(413, "a query in words is at most 1 MiB; shorten it")
    words = read(lambda: Words.model_validate_json(body))
    with bases.use(words.knowledge_base) as served:
        manifest = served.base.manifest
        query = query_in(words, manifest)
        with metrics_of(request).phase("embed"):
            vectors = await embedder.vectors(query, manifest)
        question = served.retriever.question(vectors, words)
        near = await nearest(request, served, question)
        return await answered(request, served, question, *near)
