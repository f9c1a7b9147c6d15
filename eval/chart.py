"""Curves in panels, with one key for all, as one self-contained SVG.

    chart([[Panel("loss", {"a": [(1e6, 0.9), (2e6, 0.7)]}, ticks=[(1e6, "1M"), (2e6, "2M")])]])

Across, every doubling is as wide as another; upwards values are as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

_COLOURS = ("#0b6e99", "#d9730d", "#4d8a3d", "#b03a6f", "#6b5bb5", "#8a6d3b", "#444444")
_WIDE, _HIGH = 250, 200  # of a panel's field
_LEFT, _TOP, _GAP_X, _GAP_Y, _KEY = 56, 34, 52, 62, 110
_RULES = 6  # lines across a panel, about


@dataclass(frozen=True)
class Panel:
    title: str
    lines: Mapping[str, Sequence[Point]]  # by what the key calls them
    ticks: Sequence[tuple[float, str]]  # under the field, from its left end to its right one
    bottom: float | None = 0.0  # None: a little under the lowest point
    top: float | None = None  # None: a little above the highest
    marked: float | None = None  # a value that stands out

    def at(self, point: Point) -> Point:
        left, right = (math.log2(end) for end in (self.ticks[0][0], self.ticks[-1][0]))
        low, high = self.range
        across = (math.log2(point[0]) - left) / ((right - left) or 1.0)
        return _WIDE * across, _HIGH * (high - point[1]) / (high - low)

    @property
    def range(self) -> Point:
        values = [value for line in self.lines.values() for _, value in line]
        values += [] if self.marked is None else [self.marked]
        low, high = min(values), max(values)
        room = 0.08 * ((high - low) or 1.0)
        return (
            low - room if self.bottom is None else self.bottom,
            high + room if self.top is None else self.top,
        )


def chart(rows: Sequence[Sequence[Panel]], key: str = "") -> str:
    """Rows of panels; a line of the same name has the same colour in all of them."""
    names = list(dict.fromkeys(name for row in rows for panel in row for name in panel.lines))
    inks = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}
    parts: list[str] = []
    for down, row in enumerate(rows):
        for right, panel in enumerate(row):
            x, y = _LEFT + right * (_WIDE + _GAP_X), _TOP + down * (_HIGH + _GAP_Y)
            parts += [f'<g transform="translate({x},{y})">', *_drawn(panel, inks), "</g>"]
    width = _LEFT + max(map(len, rows)) * (_WIDE + _GAP_X) + _KEY
    height = _TOP + len(rows) * (_HIGH + _GAP_Y)
    parts += _key(width - _KEY, key, inks)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" style="background:#fff;color:#222">{"".join(parts)}</svg>'
    )


def _drawn(panel: Panel, inks: Mapping[str, str]) -> Iterator[str]:
    yield _text(0, -10, panel.title)
    for value in _rules(*panel.range):
        yield from _rule(panel, value, "#dddddd")
        yield _text(-8, panel.at((panel.ticks[0][0], value))[1] + 4, f"{value:g}", "end")
    if panel.marked is not None:
        yield from _rule(panel, panel.marked, "#888888")
    for across, label in panel.ticks:
        yield _text(panel.at((across, panel.range[0]))[0], _HIGH + 16, label, "middle")
    for name, points in panel.lines.items():
        yield from _line([panel.at(point) for point in sorted(points)], inks[name])


def _line(placed: Sequence[Point], ink: str) -> Iterator[str]:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
    if placed:
        yield f'<path d="M{path}" fill="none" stroke="{ink}" stroke-width="2"/>'
    for x, y in placed:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{ink}"/>'


def _rule(panel: Panel, value: float, ink: str) -> Iterator[str]:
    _, y = panel.at((panel.ticks[0][0], value))
    yield f'<path d="M0 {y:.1f}H{_WIDE}" stroke="{ink}"/>'


def _rules(low: float, high: float) -> list[float]:
    """Round values between the two."""
    rough = (high - low) / _RULES
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _key(left: int, title: str, inks: Mapping[str, str]) -> Iterator[str]:
    yield _text(left, _TOP + 4, title)
    for i, (name, ink) in enumerate(inks.items(), 1):
        y = _TOP + 20 * i
        yield f'<path d="M{left} {y}h20" stroke="{ink}" stroke-width="3"/>'
        yield _text(left + 28, y + 4, name)


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="sans-serif" font-size="12"'
        f' text-anchor="{anchor}" fill="currentColor">{escape(words)}</text>'
    )
