"""Summarizes the rows of a run: scores by three conventions, intervals, and a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def is_scored(row: Row) -> bool:
    """Whether it counts for the score: outputs known, and not seen by base or knowledge base."""
    return row["solved"] is not None and not row["leaked"]


def scored(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if is_scored(row)]


def count(rows: Iterable[Row]) -> int:
    return sum(bool(row["solved"]) for row in rows)


def summarize(rows: Sequence[Row], *, everything_is_known: bool) -> dict[str, Any]:
    """Scores by three conventions, with TTT and without, their intervals, and McNemar's test.

    `unknown` counts tasks without outputs, except leaked ones. `leaked` lists tasks that the base
    or the knowledge base has seen; it is "unknown" if none was found, but not both of them have a
    record of what they have seen.
    """
    from arc.scoring import mcnemar, score, wilson

    known = scored(rows)
    bases = [row["base"] for row in known]
    after, before = score([r["right"] for r in known]), score([r["right"] for r in bases])
    leaked = [row["id"] for row in rows if row["leaked"]]
    seconds = sum(sum(row["trace"]["seconds"].values()) for row in rows)
    return {
        "tasks": len(rows),
        "unknown": len(rows) - len(known) - len(leaked),
        "leaked": leaked if leaked or everything_is_known else "unknown",
        "solved": after.tasks_right,
        "solved_base": before.tasks_right,
        "task_score": round(after.tasks, 4),
        "task_score_base": round(before.tasks, 4),
        "mean_output_score": round(after.mean, 4),
        "output_score": round(after.outputs, 4),
        "ci95": [round(end, 4) for end in wilson(after.tasks_right, len(known))],
        "ci95_base": [round(end, 4) for end in wilson(before.tasks_right, len(known))],
        "p_mcnemar": mcnemar(*([bool(r["solved"]) for r in side] for side in (known, bases))),
        "seconds": round(seconds, 1),
        "seconds_per_task": round(seconds / len(rows), 2),
        "tasks_per_hour": round(3600 * len(rows) / seconds, 1) if seconds else 0.0,
        "peak_memory_mb": max(row["peak_memory_mb"] for row in rows),
    }


def summary_lines(results: Mapping[str, Any]) -> Iterable[str]:
    """Lines for the terminal: both scores, the test between them, and the notices."""
    summary = results["summary"]
    total = len(scored(results["tasks"]))
    for name, key in (("base", "_base"), ("TTT", "")) if total else ():
        solved, rate = summary[f"solved{key}"], summary[f"task_score{key}"]
        low, high = summary[f"ci95{key}"]
        yield f"{name:5} {solved:4} of {total}  {rate:6.1%}  (95 %: {low:.1%} to {high:.1%})"
    p, each, rate = (summary[n] for n in ("p_mcnemar", "seconds_per_task", "tasks_per_hour"))
    between = f"McNemar p = {p:.2g}" if total else "no task could be scored"
    yield f"{between}; {each:.2f} s a task with TTT, {rate:,.0f} tasks an hour"
    yield from notices(results)


def notices(results: Mapping[str, Any]) -> Iterable[str]:
    """What a reader of the score has to know, one line each."""
    summary = results["summary"]
    if many := summary["unknown"]:
        yield f"answered but not scored, because outputs are unknown: {_tasks(many)}"
    if many := sum(_too_long(row["trace"]) for row in results["tasks"]):
        yield f"too long for the base, so no answer was written: {_tasks(many)}"
    if isinstance(leaked := summary["leaked"], list) and leaked:
        yield f"seen before, so not scored: {_tasks(len(leaked))} ({', '.join(leaked)})"
    for who, told in results["leakage"].items():
        if told["pairs"] == "unknown":
            yield f"whether the {who} has seen these tasks is unknown: {told['said']}"
    for line in results["left_out"]:
        yield f"left out: {line}"


def _too_long(trace: Row) -> bool:
    """Whether some test input was too long under every view, so that nothing was written."""
    asked = zip(trace["views"], trace["views_too_long"], strict=True)
    return any(left_out and not views for views, left_out in asked)


def _tasks(many: int) -> str:
    return f"{many} task" if many == 1 else f"{many} tasks"
