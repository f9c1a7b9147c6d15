"""The data that the report's page draws, kept small: every grid once, loss curves thinned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from math import isfinite
from typing import Any

from arc.scoring import mcnemar, paired_difference, wilson
from eval.arc_results import notices, scored
from eval.compare import Comparison
from eval.report.neighbours import DRAWN

Row = Mapping[str, Any]
Told = dict[str, Any]

POINTS = 120  # most points of a loss curve
GRIDS = 24  # most grids shown of those that views wrote for one test input and side


def run_told(results: Mapping[str, Any]) -> Told:
    """The page's data of one run: the base without training beside test-time training."""
    rows, summary, settings = (results[name] for name in ("tasks", "summary", "settings"))
    known = scored(rows)
    sides = [
        _side("base", [row["base"] for row in known], {}),
        _side("TTT", known, results["neighbours"]),
    ]
    return {
        "title": "ARC evaluation",
        "about": [_last(settings["data_dir"]), f"base {_last(settings['model_path'])}"],
        "headline": _headline(sides[1]["solved"], len(known)),
        "sides": sides,
        "order": [1, 0],  # on a card TTT comes first, since the page is about it
        "between": _between([row["base"] for row in known], known),
        "facts": _facts(summary, results["memory"], settings, any_scored=bool(known)),
        "notices": list(notices(results)),
        "settings": [[name, value] for name, value in settings.items()],
        "tasks": [_task(row, [row["base"], row]) for row in rows],
    }


def comparison_told(compared: Comparison) -> Told:
    """The page's data of two runs, each with test-time training."""
    first, second = ([pair[side] for pair in compared.pairs] for side in (0, 1))
    only_a, only_b = len(compared.only(0)), len(compared.only(1))
    near_a, near_b = (one["neighbours"] for one in compared.results)
    return {
        "title": "Two runs",
        "about": [f"{name} is {run}" for name, run in zip("AB", compared.names, strict=True)],
        "headline": f"A alone solves {only_a}, B alone {only_b} of {len(first)} tasks",
        "sides": [_side("A", first, near_a), _side("B", second, near_b)],
        "order": [0, 1],
        "between": _between(first, second),
        "facts": [["tasks in common", f"{len(first)}"]],
        "notices": [],
        "settings": [[name, f"{a} in A, {b} in B"] for name, a, b in compared.settings],
        "tasks": [_task(a, [a, b]) for a, b in compared.pairs],
    }


def _headline(solved: int, total: int) -> str:
    return f"{solved} of {total} tasks solved" if total else "No task could be scored"


def _side(name: str, rows: Sequence[Row], neighbours: Mapping[str, list[str]]) -> Told:
    """`neighbours` holds the first pair of each retrieved task, by the task's number in the side's
    own knowledge base."""
    solved = sum(bool(row["solved"]) for row in rows)
    return {
        "name": name,
        "solved": solved,
        "rate": solved / len(rows) if rows else 0.0,
        "ci95": wilson(solved, len(rows)),
        "neighbours": neighbours,
    }


def _between(first: Sequence[Row], second: Sequence[Row]) -> str:
    """The difference of the two sides in words, or "" if no task is scored."""
    if not first:
        return ""
    a, b = ([bool(row["solved"]) for row in side] for side in (first, second))
    more, low, high = (100 * part for part in paired_difference(a, b))
    return (
        f"difference {more:+.1f} points (95 %: {low:+.1f} to {high:+.1f}),"
        f" McNemar p = {mcnemar(a, b):.2g}"
    )


def _facts(summary: Row, memory: Row, settings: Row, *, any_scored: bool) -> list[list[str]]:
    rates = [
        ["outputs right", f"{100 * summary['output_score']:.1f} %"],
        ["mean of tasks", f"{100 * summary['mean_output_score']:.1f} %"],
    ]
    return [
        ["tasks an hour", f"{summary['tasks_per_hour']:,.0f}"],
        ["seconds a task", f"{summary['seconds_per_task']:.2f}"],
        *(rates if any_scored else []),
        ["peak memory", f"{summary['peak_memory_mb']:,} MB"],
        ["trained together", f"{memory.get('k', settings['k'])}"],
    ]


def _task(row: Row, sides: Sequence[Row]) -> Told:
    answers = [output for _, output in row["task"]["test"]]
    return {
        "id": row["id"],
        "task": row["task"],
        "leaked": row["leaked"],
        "sides": [_answered(side, answers) for side in sides],
    }


def _answered(row: Row, answers: Sequence[str | None]) -> Told:
    trace = row["trace"]
    tests = [
        {"attempts": [[one["grid"], one["share"]] for one in attempts], **_votes(views)}
        for attempts, views in zip(row["attempts"], trace["views"], strict=True)
    ]
    written = [
        any(view["grid"] == answer for view in views)
        for answer, views in zip(answers, trace["views"], strict=True)
    ]
    return {
        "solved": row["solved"],
        "right": row["right"],
        "written": None if row["solved"] is None else all(written),
        "tests": tests,
        "training": _training(trace),
    }


def _votes(written: Sequence[Row]) -> Told:
    """The grids, each with the views that wrote it and its share of all votes, largest first; how
    many views wrote no grid; and how many grids are left out."""
    by_grid: dict[str, list[Row]] = {}
    for one in written:
        if one["grid"] is not None:
            by_grid.setdefault(one["grid"], []).append(one)
    views, writing = ({one["view"] for one in some} for some in (written, chain(*by_grid.values())))
    parts = {grid: sum(map(_part, own)) for grid, own in by_grid.items()}
    ranked = sorted(by_grid, key=lambda grid: -parts[grid])  # stable
    whole = sum(map(_part, written))
    return {
        "views": len(views),
        "none": len(views - writing),
        "grids": [
            [grid, [*map(_writer, by_grid[grid])], round(parts[grid] / whole, 4)]
            for grid in ranked[:GRIDS]
        ],
        "more": max(0, len(ranked) - GRIDS),
    }


def _part(written: Row) -> float:
    """The part of its view's vote that this grid has."""
    return float(written.get("part", 1.0))


def _writer(written: Row) -> list[Any]:
    return [written["view"], _finite(written.get("log_probability"))]


def _training(trace: Row) -> Told:
    names = ("decision", "stands_on", "similarity", "items", "items_withheld")
    told = {name: trace[name] for name in names if name in trace}
    told["seconds"] = {name: round(spent, 2) for name, spent in trace["seconds"].items()}
    return told | {
        "losses": thinned(trace.get("losses", [])),
        "steps": len(trace.get("losses", [])),
        "left": trace.get("seat", {}).get("left", ""),
        "retrieved": trace.get("retrieved", [])[:DRAWN],
        "retrieved_in_all": len(trace.get("retrieved", [])),
    }


def thinned(losses: Sequence[float]) -> list[float]:
    """At most POINTS values, each the mean of a stretch of losses."""
    size = -(-len(losses) // POINTS) or 1
    parts = (losses[i : i + size] for i in range(0, len(losses), size))
    return [round(sum(part) / len(part), 4) for part in parts]


def _finite(value: float | None) -> float | None:
    """None for an infinity, which JSON cannot hold; log probabilities can underflow to one."""
    return None if value is None or not isfinite(value) else value


def _last(path: str | None) -> str:
    return str(path or "").rstrip("/").rpartition("/")[2]
