"""Puts template, style, script and data together: one page that loads nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arc.browser.parts import script_of, style_of

if TYPE_CHECKING:
    from eval.compare import Comparison

PARTS = Path(__file__).parent / "page"
SCRIPTS = ("told", "head", "votes", "card", "list", "keys", "start")  # in this order


def report_of(results: Mapping[str, Any]) -> str:
    from eval.report.told import run_told

    return page(run_told(results))


def comparison_report(compared: Comparison) -> str:
    from eval.report.told import comparison_told

    return page(comparison_told(compared))


def page(told: Mapping[str, Any]) -> str:
    """One HTML document. Names given by users can neither end the data nor become markup."""
    data = json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    parts = {
        "title": escape(f"{told['title']}: {told['headline']}"),
        "style": style_of(PARTS / "report.css"),
        "script": script_of(PARTS, SCRIPTS),
        "data": data.replace("<", "\\u003c"),
    }
    template = (PARTS / "report.html").read_text()
    # in one pass, so that inserted text is not searched again
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template)
