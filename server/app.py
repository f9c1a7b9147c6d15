"""The retrieval service: routes, errors as one sentence of JSON, limits.

    uvicorn.run(create_app(ServerSettings(knowledge_base_path=Path("knowledge_base"))))

Reading a request and searching happen in worker threads, so that a large question never keeps
others waiting for the event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException as AnyHTTPException

from hone.errors import BadInput, HoneError
from kb.retriever import LocalRetriever, as_vectors
from kb.store import KnowledgeBase, hone_version
from kb.wire import MAX_HITS_IN_ANSWER, KnowledgeBaseInfo, SearchRequest, SearchResponse
from server.body_limit import BodyLimit

if TYPE_CHECKING:
    from server.server import ServerSettings

router = APIRouter()


class Failure(BaseModel):
    """What every answer that is not a success says."""

    error: str = Field(description="what was wrong and what to do next, in one sentence")


class Health(BaseModel):
    status: str


def _failures(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Failure} for code in codes}


def create_app(settings: ServerSettings, base: KnowledgeBase | None = None) -> FastAPI:
    """The service over `base`, or over the folder of the settings, opened as the app starts."""
    app = FastAPI(
        title="Hone",
        summary="Records of a knowledge base by embedding",
        version=hone_version(),
        lifespan=_lifespan(settings, base),
        docs_url=None,
        redoc_url=None,
    )
    app.state.retriever = None
    app.include_router(router)
    app.add_middleware(BodyLimit, limit=settings.max_body_mb << 20)
    app.add_exception_handler(HoneError, _say_hone_error)
    app.add_exception_handler(AnyHTTPException, _say_http_error)
    app.add_exception_handler(Exception, _say_our_fault)
    return app


@router.get("/v1/info", responses=_failures(503))
def info(request: Request) -> KnowledgeBaseInfo:
    """Versions, the embedder to ask with, and what the knowledge base holds."""
    return _retriever(request).info()


@router.post(
    "/v1/search",
    response_model=SearchResponse,
    responses=_failures(413, 422, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": SearchRequest.model_json_schema()}},
        }
    },
)
async def search(request: Request) -> Response:
    """The records nearest to each vector, or those that SIFT picks among them."""
    retriever, body = _retriever(request), await request.body()
    content = await run_in_threadpool(_answer, retriever, body)
    return Response(content, media_type="application/json")


@router.get("/healthz")
async def healthz() -> Health:
    """Whether the process answers at all."""
    return Health(status="alive")


@router.get("/readyz", responses=_failures(503))
async def readyz(request: Request) -> Health:
    """Whether searches are answered."""
    _retriever(request)
    return Health(status="ready")


def _answer(retriever: LocalRetriever, body: bytes) -> str:
    asked = _parsed(body)
    if (count := len(asked.vectors) * asked.k) > MAX_HITS_IN_ANSWER:
        raise BadInput(
            f"{len(asked.vectors)} vectors with k {asked.k} ask for {count} records, the most is"
            f" {MAX_HITS_IN_ANSWER}; ask for fewer vectors at a time"
        )
    method = asked.method or retriever.default_method
    vectors = as_vectors(asked.vectors)
    hits = retriever.search(vectors, asked.k, method=method, sources=asked.sources, stop=asked.stop)
    content_hash = retriever.info().content_hash
    return SearchResponse(method=method, content_hash=content_hash, hits=hits).model_dump_json()


def _parsed(body: bytes) -> SearchRequest:
    try:
        return SearchRequest.model_validate_json(body)
    except ValidationError as error:
        first, *more = error.errors(include_url=False, include_input=False, include_context=False)
        where = ".".join(map(str, first["loc"])) or "the body"
        rest = f" (and {len(more)} more)" if more else ""
        raise BadInput(f"{where}: {first['msg']}{rest}; see /openapi.json") from None


def _retriever(request: Request) -> LocalRetriever:
    retriever: LocalRetriever | None = request.app.state.retriever
    if retriever is None:
        raise HTTPException(503, "the knowledge base is not open; try again in a moment")
    return retriever


def _lifespan(
    settings: ServerSettings, base: KnowledgeBase | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        opened = base
        if opened is None:
            opened = await run_in_threadpool(KnowledgeBase.open, settings.knowledge_base_path)
        app.state.retriever = LocalRetriever(opened, "faiss" if settings.only_faiss else "sift")
        try:
            yield
        finally:
            app.state.retriever = None
            opened.close()

    return lifespan


async def _say_hone_error(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 422 if isinstance(error, BadInput) else 500)


async def _say_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnyHTTPException)
    said = {
        404: f"no route {request.url.path}; see /openapi.json",
        405: f"{request.url.path} does not take {request.method}; see /openapi.json",
    }
    return JSONResponse(
        {"error": said.get(error.status_code, error.detail)}, error.status_code, error.headers
    )


async def _say_our_fault(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": "the server failed; its log says why"}, 500)
