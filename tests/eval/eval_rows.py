"""Rows and results of a run, made by hand: what the summary, the report and comparisons read."""

from __future__ import annotations

from typing import Any

from eval.arc_results import summarize

TASK = {"train": [["10/01", "1"], ["11/01", "1"]], "test": [["11/00", "1"]]}


def view(grid: str | None, name: str = "identity") -> dict[str, Any]:
    return {"view": name, "grid": grid, "log_probability": -0.5}


def told(rights: list[bool] | None, grids: list[str | None], trace: dict[str, Any]) -> Any:
    """The answer is 1: it is among the attempts where they are right, and nowhere else."""
    attempts = [
        [{"grid": grid, "share": 0.5} for grid in grids if grid and (right or grid != "1")]
        for right in rights or [False]
    ]
    views = [[view(grid, f"look {i}") for i, grid in enumerate(grids)] for _ in attempts]
    return {
        "solved": None if rights is None else all(rights),
        "right": rights,
        "attempts": attempts,
        "trace": {"views_too_long": [0] * len(views), **trace, "views": views},
    }


def row(
    right: list[bool] | None,
    base: list[bool] | None,
    *,
    name: str = "t",
    seconds: float = 1.0,
    grids: tuple[str | None, ...] = ("1", "2", None),
    leaked: dict[str, list[str]] | None = None,
    **trace: Any,
) -> dict[str, Any]:
    spent = {"decision": "train", "seconds": {"train": seconds, "generate": 0.5}, **trace}
    tests = [["11/00", None if right is None else "1"]] * len(right or [False])
    return {
        "id": name,
        **told(right, list(grids), spent),
        "base": told(
            base,
            ["1"] if base == [True] else ["2"],
            {"decision": "base", "seconds": {"generate": 0.1}},
        ),
        "peak_memory_mb": 500,
        "task": TASK | {"test": tests},
        "leaked": leaked or {},
    }


def results(rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "summary": summarize(rows, everything_is_known=True),
        "settings": {"data_dir": "data/evaluation", "model_path": "models/arc-base", "k": 8},
        "memory": {"k": 8},
        "leakage": {"base": {"pairs": 7, "said": "its record"}},
        "left_out": [],
        "neighbours": {},
        "tasks": rows,
        **more,
    }
