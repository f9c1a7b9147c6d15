"""Reads search requests: JSON, or float32 vectors with options in the query string."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from fastapi import Request
from pydantic import BaseModel, ValidationError

from hone.errors import BadInput
from kb.retriever import Vectors, as_vectors
from kb.wire import (
    BINARY,
    JSON,
    MAX_HITS_IN_ANSWER,
    MAX_VECTORS,
    BinaryOptions,
    SearchOptions,
    SearchRequest,
)

Model = TypeVar("Model", bound=BaseModel)


def asked(request: Request, body: bytes) -> tuple[Vectors, SearchOptions]:
    """The vectors of a request and what is asked about them; refuses what is wrong."""
    if _content_type(request) == BINARY:
        vectors, options = _from_bytes(request, body)
    else:
        vectors, options = _from_json(request, body)
    if (count := len(vectors) * options.k) > MAX_HITS_IN_ANSWER:
        raise BadInput(
            f"{len(vectors)} vectors with k {options.k} ask for {count} records, the most is"
            f" {MAX_HITS_IN_ANSWER}; ask for fewer vectors at a time"
        )
    return vectors, options


def described() -> dict[str, Any]:
    """Both forms of a request, for the OpenAPI document."""
    properties = BinaryOptions.model_json_schema()["properties"]
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in properties.items()
        ],
        "requestBody": {
            "required": True,
            "description": "JSON; or float32, with what else is asked in the query string",
            "content": {
                JSON: {"schema": SearchRequest.model_json_schema()},
                BINARY: {"schema": {"type": "string", "format": "binary"}},
            },
        },
    }


def _from_json(request: Request, body: bytes) -> tuple[Vectors, SearchOptions]:
    if request.query_params:
        raise BadInput(
            f"a query string is for {BINARY} only; put the options into the JSON, see /openapi.json"
        )
    whole = read(lambda: SearchRequest.model_validate_json(body))
    return as_vectors(whole.vectors), whole


def _from_bytes(request: Request, body: bytes) -> tuple[Vectors, SearchOptions]:
    given: dict[str, Any] = dict(request.query_params)
    if "sources" in given:
        given["sources"] = request.query_params.getlist("sources")
    options = read(lambda: BinaryOptions.model_validate(given))
    count, rest = divmod(len(body), 4 * options.dimension)
    if rest or not 1 <= count <= MAX_VECTORS:
        raise BadInput(
            f"the body has {len(body)} bytes, 1 to {MAX_VECTORS} vectors of {options.dimension}"
            " float32 numbers were expected"
        )
    return as_vectors(np.frombuffer(body, "<f4").reshape(count, options.dimension)), options


def read(validate: Callable[[], Model]) -> Model:
    """The validated model; turns pydantic's faults into one error."""
    try:
        return validate()
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise BadInput(first_of(faults)) from None


def first_of(faults: Sequence[Any]) -> str:
    """One sentence: the first of pydantic's faults, and how many more there are."""
    first, *more = faults
    where = ".".join(map(str, first["loc"])) or "the body"
    rest = f" (and {len(more)} more)" if more else ""
    return f"{where}: {first['msg']}{rest}; see /openapi.json"


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
