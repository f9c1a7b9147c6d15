"""The OpenAPI document holds: thousands of requests that it allows, or nearly, and no 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from server_process import Running, start

schemathesis = pytest.importorskip("schemathesis")
pytestmark = pytest.mark.slow
CASES = 2000  # a route; those of searches are all used


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    server = start("--knowledge_base_path", folder)
    yield server
    server.stop()
    server.process.communicate()


@pytest.fixture(scope="module")
def document(running: Running) -> Any:
    return schemathesis.openapi.from_url(f"{running.url}/openapi.json")


@schemathesis.pytest.from_fixture("document").parametrize()
@settings(max_examples=CASES, suppress_health_check=list(HealthCheck), deadline=None)
def test_no_request_breaks_the_server(case: Any) -> None:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
    )

    checks = [not_a_server_error, content_type_conformance, response_schema_conformance]
    case.call_and_validate(checks=checks)
