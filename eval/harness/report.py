"""Summarizes the scores of all sides by all scorers, with intervals, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eval.harness.intervals import mean_interval, paired_interval

Scores = Mapping[str, Mapping[str, Sequence[float]]]  # side -> scorer -> one score per document


def summarize(scores: Scores) -> dict[str, Any]:
    """The summary of each side and scorer; differences are to the base, over the same documents."""
    return {
        side: {
            scorer: _told(values, None if side == "base" else scores.get("base", {}).get(scorer))
            for scorer, values in by_scorer.items()
        }
        for side, by_scorer in scores.items()
    }


def _told(values: Sequence[float], base: Sequence[float] | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "documents": len(values),
        "score": _mean(values),
        "ci95": list(mean_interval(values)),
    }
    if base is not None:
        told["difference"] = _mean(values) - _mean(base)
        told["difference_ci95"] = list(paired_interval(values, base))
    return told


def table(summary: Mapping[str, Any]) -> list[str]:
    """A line for each side and scorer."""
    lines = []
    for side, by_scorer in summary.items():
        for scorer, told in by_scorer.items():
            low, high = told["ci95"]
            line = f"{side:10} {scorer:18} {told['score']:7.2%}  ({low:.1%} to {high:.1%})"
            if "difference" in told:
                low, high = told["difference_ci95"]
                line += f"  {told['difference']:+.1%} to base ({low:+.1%} to {high:+.1%})"
            lines.append(line)
    return lines


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
