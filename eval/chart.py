"""Draws panels of curves, with one key for all, as one self-contained SVG.

    chart([[Panel("loss", {"a": [(1e6, 0.9), (2e6, 0.7)]}, ticks=[(1e6, "1M"), (2e6, "2M")])]])

The horizontal axis is logarithmic, the vertical one linear.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from eval.strokes import COLOURS, Point, dot, group, line, page, round_values, text

_WIDE, _HIGH = 250, 200  # size of a panel's field
_LEFT, _TOP, _GAP_X, _GAP_Y, _KEY = 56, 34, 52, 62, 110


@dataclass(frozen=True)
class Panel:
    title: str
    lines: Mapping[str, Sequence[Point]]  # points of each line, by its name in the key
    # values and labels under the field, from its left end to its right end
    ticks: Sequence[tuple[float, str]]
    bottom: float | None = 0.0  # None: a little under the lowest point
    top: float | None = None  # None: a little above the highest
    marked: float | None = None  # a value with a darker line across

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
    """An SVG with rows of panels. Lines of the same name have the same colour in all panels."""
    names = list(dict.fromkeys(name for row in rows for panel in row for name in panel.lines))
    inks = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    parts: list[str] = []
    for down, row in enumerate(rows):
        for right, panel in enumerate(row):
            x, y = _LEFT + right * (_WIDE + _GAP_X), _TOP + down * (_HIGH + _GAP_Y)
            parts.append(group(x, y, _drawn(panel, inks)))
    width = _LEFT + max(map(len, rows)) * (_WIDE + _GAP_X) + _KEY
    height = _TOP + len(rows) * (_HIGH + _GAP_Y)
    parts += _key(width - _KEY, key, inks)
    return page(width, height, parts)


def _drawn(panel: Panel, inks: Mapping[str, str]) -> Iterator[str]:
    yield text(0, -10, panel.title)
    for value in round_values(*panel.range):
        yield _rule(panel, value, "#dddddd")
        yield text(-8, panel.at((panel.ticks[0][0], value))[1] + 4, f"{value:g}", "end")
    if panel.marked is not None:
        yield _rule(panel, panel.marked, "#888888")
    for across, label in panel.ticks:
        yield text(panel.at((across, panel.range[0]))[0], _HIGH + 16, label, "middle")
    for name, points in panel.lines.items():
        yield from _line([panel.at(point) for point in sorted(points)], inks[name])


def _line(placed: Sequence[Point], ink: str) -> Iterator[str]:
    if placed:
        yield line(placed, ink, 2)
    yield from (dot(at, ink) for at in placed)


def _rule(panel: Panel, value: float, ink: str) -> str:
    _, y = panel.at((panel.ticks[0][0], value))
    return line([(0, y), (_WIDE, y)], ink)


def _key(left: int, title: str, inks: Mapping[str, str]) -> Iterator[str]:
    yield text(left, _TOP + 4, title)
    for i, (name, ink) in enumerate(inks.items(), 1):
        y = _TOP + 20 * i
        yield line([(left, y), (left + 20, y)], ink, 3)
        yield text(left + 28, y + 4, name)
