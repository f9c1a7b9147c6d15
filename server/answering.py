"""What routes share: the app's parts, failures, and the steps from a question to its answer."""

from __future__ import annotations

import os
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import HTTPException, Request, Response
from pydantic import BaseModel, Field
from pydantic_core import to_json

from kb import wire
from kb.retriever import Question
from kb.store import Rows, Scores
from server.batching import Batcher
from server.knowledge_bases import KnowledgeBases, Served
from server.metrics import Metrics


class Failure(BaseModel):
    """The body of every answer that is not a success."""

    error: str = Field(description="what was wrong and what to do next, in one sentence")


def answering() -> CapacityLimiter:
    """One thread for each processor: more would only compete for the interpreter's lock, with each
    other and with the search that runs beside them."""
    return CapacityLimiter(os.cpu_count() or 1)


def failures(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Failure} for code in codes}


def bases_of(request: Request) -> KnowledgeBases:
    bases: KnowledgeBases | None = request.app.state.bases
    if bases is None:
        raise HTTPException(503, "the knowledge base is not open; try again in a moment")
    return bases


def metrics_of(request: Request) -> Metrics:
    found: Metrics = request.app.state.metrics
    return found


async def nearest(request: Request, served: Served, question: Question) -> tuple[Scores, Rows]:
    """The store's answer, searched in turn and together with other questions that wait."""
    request.state.asked = _told(served, question)
    batcher: Batcher = request.app.state.batcher
    store = served.retriever.store
    return await batcher.nearest(store, question.queries, question.reach, question.sources)


async def answered(
    request: Request, served: Served, question: Question, scores: Scores, rows: Rows
) -> Response:
    """The response. A worker thread selects, reads the records and writes the JSON."""
    with metrics_of(request).phase("answer"):
        content = await to_thread.run_sync(
            _answer, served, question, scores, rows, limiter=request.app.state.answering
        )
    return Response(content, media_type=wire.JSON)


def _answer(served: Served, question: Question, scores: Scores, rows: Rows) -> bytes:
    """A wire.SearchResponse as JSON."""
    return to_json(
        {
            "method": question.method,
            "content_hash": served.base.manifest.content_hash,
            "hits": served.retriever.found(question, scores, rows),
        }
    )


def _told(served: Served, question: Question) -> dict[str, Any]:
    """What the log says about a search."""
    return {
        "knowledge_base": served.place.name,
        "vectors": len(question.queries),
        "k": question.k,
        "selection": question.method,
    }
