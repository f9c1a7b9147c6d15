"""The first pair of each retrieved task, to be drawn beside the task for which it was retrieved."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from arc.grid import grid, spell

DRAWN = 6  # retrieved tasks drawn per task, nearest first


def neighbour_pairs(
    knowledge_base: Path | None, rows: Iterable[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """The pairs by record number; empty if the knowledge base is not on this disk."""
    from kb.store import KnowledgeBase

    numbers = sorted({number for row in rows for number in _drawn(row)})
    if knowledge_base is None or not numbers:
        return {}
    with closing(KnowledgeBase.open(knowledge_base)) as opened:
        found = zip(numbers, opened.records(numbers), strict=True)
        return {
            str(number): _first_pair(record.prompt)
            for number, record in found
            if record.kind == "arc"
        }


def _drawn(row: Mapping[str, Any]) -> Iterable[int]:
    return (hit["id"] for hit in row["trace"].get("retrieved", [])[:DRAWN])


def _first_pair(prompt: str) -> list[str]:
    first = json.loads(prompt)["train"][0]
    return [spell(grid(first[side])) for side in ("input", "output")]
