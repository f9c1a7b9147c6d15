"""Draws the rows of `multilora` as curves over K, with a panel for each model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eval.chart import Panel, chart

Row = dict[str, Any]

_WHAT = (("speedup_vs_peft", "times PEFT in sequence"), ("speedup_vs_solo", "times itself at K=1"))


def speedup_curves(rows: Sequence[Row]) -> str:
    """Upper row: speed-up over stock PEFT; lower row: over this engine with one at a time."""
    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    panels = [[_panel(rows, shape, key, label) for shape in shapes] for key, label in _WHAT]
    return chart(panels, "tokens a task")


def _panel(rows: Sequence[Row], shape: str, key: str, label: str) -> Panel:
    own = [row for row in rows if row["shape"] == shape]
    lines: dict[str, list[tuple[float, float]]] = {
        str(tokens): [] for tokens in sorted({row["tokens"] for row in rows})
    }
    for row in own:
        lines[str(row["tokens"])].append((row["k"], row[key]))
    ks = sorted({row["k"] for row in rows})
    ticks = [(k, f"K={k}" if k == ks[0] else str(k)) for k in ks]
    top = 1.08 * max([1.0, *(row[key] for row in rows)])  # the same for all models
    title = f"{shape} ({own[0]['params_m']:g}M), {label}"
    return Panel(title, lines, ticks, top=top, marked=1.0)
