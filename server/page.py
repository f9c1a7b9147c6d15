"""The page at /, put together from the files of page/ when the app is made; it loads nothing else.

Anyone who reaches the server gets the page, since it holds no data: it asks the routes under /v1
for what it shows, with a key if the server requires one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from arc.browser.parts import script_of, style_of

PARTS = Path(__file__).parent / "page"
SCRIPTS = (
    *("asking", "address", "held", "record", "browse", "search", "map", "metrics", "load"),
    *("views", "keys", "start"),
)  # in this order
# A record may hold anything, so nothing in it may run or load, and nobody may frame the page.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # so that an update is seen at once
}


class _Page(HTMLResponse):
    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        super().init_headers({**_HEADERS, **(headers or {})})


class _Script(_Page):
    media_type = "text/javascript"


class _Style(_Page):
    media_type = "text/css"


def page_routes(*, embeds: bool) -> APIRouter:
    """`embeds` tells the page whether this server embeds queries."""
    template = (PARTS / "page.html").read_text()
    html = template.replace("{{embeds}}", "yes" if embeds else "no")
    script, style = script_of(PARTS, SCRIPTS), style_of(PARTS / "page.css")
    routes = APIRouter()

    @routes.get("/", response_class=_Page)
    async def page() -> str:
        """The page, which shows what the knowledge bases hold."""
        return html

    @routes.get("/page.js", response_class=_Script, include_in_schema=False)
    async def page_script() -> str:
        """The page's script."""
        return script

    @routes.get("/page.css", response_class=_Style, include_in_schema=False)
    async def page_style() -> str:
        """The page's style."""
        return style

    return routes
