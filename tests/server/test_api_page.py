"""docs/api.md and docs/openapi.json say what the routes are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fastapi.routing import APIRoute

from server.app import create_app
from server.server import ServerSettings

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_route_has_its_heading() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    schema = create_app(ServerSettings()).openapi()
    spelled = {
        f"## {verb.upper()} {path}" for path, verbs in schema["paths"].items() for verb in verbs
    }
    headings = {line for line in page.splitlines() if line.startswith("## ")}
    assert headings == spelled | {"## GET /openapi.json"}


def test_every_field_of_a_request_is_described() -> None:
    from kb.wire import SearchRequest

    page = (ROOT / "docs" / "api.md").read_text()
    assert all(f"| `{name}` |" in page for name in SearchRequest.model_fields)


def test_the_openapi_page_is_true() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/write_openapi.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_routes_are_typed() -> None:
    routes = [route for route in create_app(ServerSettings()).routes if isinstance(route, APIRoute)]
    assert all(route.response_model is not None and route.endpoint.__doc__ for route in routes)
