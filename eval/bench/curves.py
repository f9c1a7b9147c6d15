"""The rows as curves over K, a panel for each model, as one self-contained SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

Row = dict[str, Any]
Point = tuple[float, float]

_COLOURS = ("#0b6e99", "#d9730d", "#4d8a3d", "#b03a6f", "#6b5bb5", "#8a6d3b", "#444444")
_WIDE, _HIGH = 250, 200  # of a panel's field
_LEFT, _TOP, _GAP_X, _GAP_Y, _KEY = 56, 34, 44, 62, 110
_WHAT = (("speedup_vs_peft", "times PEFT in sequence"), ("speedup_vs_solo", "times itself at K=1"))


def speedup_curves(rows: Sequence[Row]) -> str:
    """Above: how many times faster than stock PEFT; below: than this engine one at a time."""
    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    lengths = sorted({row["tokens"] for row in rows})
    ks = sorted({row["k"] for row in rows})
    parts: list[str] = []
    for down, (key, label) in enumerate(_WHAT):
        top = max([1.0, *(row[key] for row in rows)]) * 1.08
        for right, shape in enumerate(shapes):
            own = [row for row in rows if row["shape"] == shape]
            panel = _Panel(ks, top)
            body = [*panel.frame(), *_lines(panel, own, key, lengths)]
            title = f"{shape} ({own[0]['params_m']:g}M), {label}"
            x, y = _LEFT + right * (_WIDE + _GAP_X), _TOP + down * (_HIGH + _GAP_Y)
            parts.append(f'<g transform="translate({x},{y})">{_text(0, -10, title)}')
            parts += [*body, "</g>"]
    width = _LEFT + len(shapes) * (_WIDE + _GAP_X) + _KEY
    height = _TOP + len(_WHAT) * (_HIGH + _GAP_Y)
    parts += _key(width - _KEY, lengths)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" style="background:#fff;color:#222">{"".join(parts)}</svg>'
    )


class _Panel:
    """Where K and a speed-up stand in the field: K by doublings, the speed-up from zero."""

    def __init__(self, ks: Sequence[int], top: float) -> None:
        self.ks, self.top = ks, top
        self.span = math.log2(ks[-1] / ks[0]) or 1.0

    def at(self, k: int, value: float) -> Point:
        return _WIDE * math.log2(k / self.ks[0]) / self.span, _HIGH * (1 - value / self.top)

    def frame(self) -> Iterator[str]:
        step = max(1, round(self.top / 6))
        for value in range(0, int(self.top) + 1, step):
            _, y = self.at(self.ks[0], value)
            ink = "#888888" if value == 1 else "#dddddd"
            yield f'<path d="M0 {y:.1f}H{_WIDE}" stroke="{ink}"/>{_text(-8, y + 4, value, "end")}'
        if step > 1:  # the line of no gain is drawn all the same
            yield f'<path d="M0 {self.at(self.ks[0], 1)[1]:.1f}H{_WIDE}" stroke="#888888"/>'
        for k in self.ks:
            yield _text(self.at(k, 0)[0], _HIGH + 16, f"K={k}" if k == self.ks[0] else k, "middle")


def _lines(panel: _Panel, rows: Sequence[Row], key: str, lengths: Sequence[int]) -> Iterator[str]:
    for tokens, colour in zip(lengths, _inks(lengths), strict=True):
        points = sorted((row["k"], row[key]) for row in rows if row["tokens"] == tokens)
        placed = [panel.at(k, value) for k, value in points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
        if placed:
            yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for x, y in placed:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'


def _key(left: int, lengths: Sequence[int]) -> Iterator[str]:
    yield _text(left, _TOP + 4, "tokens a task")
    for i, (tokens, colour) in enumerate(zip(lengths, _inks(lengths), strict=True), 1):
        y = _TOP + 20 * i
        yield f'<path d="M{left} {y}h20" stroke="{colour}" stroke-width="3"/>'
        yield _text(left + 28, y + 4, tokens)


def _inks(lengths: Sequence[int]) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(len(lengths))]


def _text(x: float, y: float, words: object, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="sans-serif" font-size="12"'
        f' text-anchor="{anchor}" fill="currentColor">{escape(str(words))}</text>'
    )
