"""The OpenAPI document holds: thousands of requests that it allows, or nearly, and no 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from server_process import Running, start

pytestmark = pytest.mark.slow
CASES = 1000  # of each mode, for a route that so many can be made for
CHECKS = [
    *(not_a_server_error, status_code_conformance),
    *(content_type_conformance, response_schema_conformance),
]
ROUTES = [
    *(("GET", "/v1/info"), ("GET", "/v1/knowledge_bases"), ("POST", "/v1/search")),
    *(("GET", "/v1/records"), ("GET", "/v1/neighbours"), ("GET", "/v1/map"), ("POST", "/v1/ask")),
    *(("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/")),
]


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    server = start("--knowledge_base_path", folder, "--embed_queries")
    yield server
    server.stop()
    server.process.communicate()


@pytest.fixture(scope="module")
def document(running: Running) -> Any:
    return schemathesis.openapi.from_url(f"{running.url}/openapi.json")


def test_these_are_all_routes(document: Any) -> None:
    paths = document.raw_schema["paths"]
    assert set(ROUTES) == {(verb.upper(), path) for path, verbs in paths.items() for verb in verbs}


@pytest.mark.parametrize(("verb", "path"), ROUTES)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_breaks_the_server(
    document: Any, verb: str, path: str, mode: GenerationMode
) -> None:
    route = document[path][verb]
    if mode is GenerationMode.NEGATIVE and not (route.query or route.body):
        pytest.skip("nothing can be wrong with a request that says nothing")

    @given(case=route.as_strategy(generation_mode=mode))
    @settings(max_examples=CASES, suppress_health_check=list(HealthCheck), deadline=None)
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    ask()
