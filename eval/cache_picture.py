"""Draws a sweep of the adapter store's settings: what reuse saves, and what it loses.

Left: every setting by the quality that it keeps and by what it saves; settings that no other beats
in both are joined by a line, the recommended one has a ring, and the area where too much is lost is
shaded. Middle: sizes and thresholds with the recommended strategy, each with its hit rate; darker
cells save more, grey ones lose too much. Right: hit rate over size at the recommended threshold,
with a line for each strategy. Pointing at an element shows its setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eval.cache_sweep import Sweep, Swept
from eval.strokes import COLOURS, Point, box, dot, group, line, mixed, page, round_values, text

_LEFT, _TOP, _HIGH, _GAP = 64, 96, 280, 88
_TRADE, _CELLS, _SIZES, _NAMES = 380, 330, 300, 180  # widths
_BEST, _GOOD, _OTHER, _LOST, _GRID = COLOURS[1], COLOURS[0], "#b8b8b8", "#f0f0f0", "#e4e4e4"
_EDGE = 14  # distance of the outermost elements from a panel's sides
_APART = 15  # least distance of the names at the ends of lines


def picture(sweep: Sweep) -> str:
    drawing = _Drawing(sweep)
    middle = _LEFT + _TRADE + _GAP
    right = middle + _CELLS + _GAP
    parts = [
        text(_LEFT, 26, "Adapters reused: what is saved, and what is kept", size=16),
        dot((_LEFT + 4, 44), _BEST, 4),
        text(_LEFT + 14, 48, f"recommended: {sweep.best}"),
        group(_LEFT, _TOP, drawing.trade()),
        group(middle, _TOP, drawing.cells()),
        group(right, _TOP, drawing.by_size()),
    ]
    return page(right + _SIZES + _NAMES, _TOP + _HIGH + 52, parts)


class _Drawing:
    def __init__(self, sweep: Sweep) -> None:
        self.sweep, self.best = sweep, sweep.best
        qualities = [1.0, *(one.quality for one in sweep.rows)]
        room = 0.06 * ((max(qualities) - min(qualities)) or 1.0)
        self.low, self.high = min(qualities) - room, max(qualities) + room
        self.most = max(one.saved for one in sweep.rows) or 1.0

    def trade(self) -> Iterator[str]:
        lost = min(max(self._across(self.sweep.least_quality), 0), _TRADE)
        yield text(0, -14, f"{self.sweep.saved}, over the whole stream")
        yield box(0, 0, lost, _HIGH, _LOST, told="loses too much")
        for saved in round_values(0, self.most):
            y = self._down(saved)
            yield line([(0, y), (_TRADE, y)], _GRID)
            yield text(-8, y + 4, f"{saved:g}", "end", size=11)
        for quality in round_values(self.low, self.high):
            yield text(self._across(quality), _HIGH + 18, f"{quality:g}", "middle", size=11)
        yield text(_TRADE / 2, _HIGH + 38, self.sweep.quality, "middle")
        yield from (dot(self._at(one), _OTHER, told=str(one)) for one in self.sweep.rows)
        yield line([self._at(one) for one in self.sweep.trade], _GOOD, 1.5)
        yield from (dot(self._at(one), _GOOD, 4, told=str(one)) for one in self.sweep.trade)
        for radius, ink in ((8.5, "#222222"), (7.0, "#ffffff"), (4.5, _BEST)):
            yield dot(self._at(self.best), ink, radius, told=str(self.best))

    def cells(self) -> Iterator[str]:
        sizes = sorted({one.size for one in self.sweep.rows})
        thresholds = sorted({one.threshold for one in self.sweep.rows}, reverse=True)
        wide, high = _CELLS / len(sizes), _HIGH / len(thresholds)
        yield text(0, -14, f"Hit rate with {self.best.strategy}, by size and threshold")
        for one in self.sweep.rows:
            if one.strategy == self.best.strategy:
                left, top = sizes.index(one.size) * wide, thresholds.index(one.threshold) * high
                yield from self._cell(one, left, top, wide, high)
        for i, size in enumerate(sizes):
            yield text((i + 0.5) * wide, _HIGH + 18, size, "middle", size=11)
        for i, threshold in enumerate(thresholds):
            yield text(-8, (i + 0.5) * high + 4, f"{threshold:g}", "end", size=11)
        yield text(_CELLS / 2, _HIGH + 38, "adapters that are kept", "middle")

    def _cell(self, one: Swept, left: float, top: float, wide: float, high: float) -> Iterator[str]:
        enough = one.quality >= self.sweep.least_quality
        ink = mixed(_GOOD, 0.08 + 0.52 * one.saved / self.most) if enough else _LOST
        yield box(left + 1, top + 1, wide - 2, high - 2, ink, told=str(one))
        yield text(left + wide / 2, top + high / 2 + 4, f"{one.hit_rate:.0%}", "middle", size=11)
        if one == self.best:
            right, bottom = left + wide - 1, top + high - 1
            corners = [(left + 1, top + 1), (right, top + 1), (right, bottom), (left + 1, bottom)]
            yield line([*corners, *corners[:2]], _BEST, 2.5)

    def by_size(self) -> Iterator[str]:
        sizes = sorted({one.size for one in self.sweep.rows})
        places = _spread(sizes, _SIZES)
        yield text(0, -14, f"Hit rate by size, at threshold {self.best.threshold:g}")
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            y = _HIGH * (1 - share)
            yield line([(0, y), (_SIZES, y)], _GRID)
            yield text(-8, y + 4, f"{share:.0%}", "end", size=11)
        for size, x in places.items():
            yield text(x, _HIGH + 18, size, "middle", size=11)
        yield text(_SIZES / 2, _HIGH + 38, "adapters that are kept", "middle")
        yield from self._lines(places)

    def _lines(self, places: dict[int, float]) -> Iterator[str]:
        """Lines of hit rates. Strategies with equal rates share one, with all names at its end."""
        lines: dict[tuple[Point, ...], list[str]] = {}
        for name in self.sweep.strategies:
            own = [one for one in self.sweep.rows if one.strategy == name]
            same = sorted((one.size, one.hit_rate) for one in own if self._is_at_best(one))
            at = tuple((places[size], _HIGH * (1 - rate)) for size, rate in same)
            lines.setdefault(at, []).append(name)
        ends = _apart([at[-1][1] for at in lines])
        for i, (at, names) in enumerate(lines.items()):
            ink, told = COLOURS[i % len(COLOURS)], self.sweep.named(names)
            yield line(at, ink, 2, told=told)
            yield from (dot(point, ink, 3.5, told=told) for point in at)
            yield dot((_SIZES + 8, ends[i]), ink, 3.5, told=told)
            yield text(_SIZES + 16, ends[i] + 4, told, size=11)

    def _is_at_best(self, one: Swept) -> bool:
        return one.threshold == self.best.threshold

    def _at(self, one: Swept) -> Point:
        return self._across(one.quality), self._down(one.saved)

    def _across(self, quality: float) -> float:
        return _TRADE * (quality - self.low) / (self.high - self.low)

    def _down(self, saved: float) -> float:
        return _HIGH * (1 - saved / self.most)


def _spread(values: Sequence[int], wide: float) -> dict[int, float]:
    """Equally spaced places for the values, with room at both sides."""
    if len(values) == 1:
        return {values[0]: wide / 2}
    room = (wide - 2 * _EDGE) / (len(values) - 1)
    return {value: _EDGE + i * room for i, value in enumerate(values)}


def _apart(heights: Sequence[float]) -> list[float]:
    """The heights, moved down where they are too close to each other."""
    moved = list(heights)
    last = -float(_APART)
    for i in sorted(range(len(heights)), key=lambda i: heights[i]):
        last = moved[i] = max(heights[i], last + _APART)
    return moved
