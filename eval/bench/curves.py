"""The rows as curves over K, a panel for each model, as one self-contained SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from eval.strokes import COLOURS, Point, dot, group, line, page, text

Row = dict[str, Any]

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
            parts.append(group(x, y, [text(0, -10, title), *body]))
    width = _LEFT + len(shapes) * (_WIDE + _GAP_X) + _KEY
    height = _TOP + len(_WHAT) * (_HIGH + _GAP_Y)
    parts += _key(width - _KEY, lengths)
    return page(width, height, parts)


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
            yield line([(0, y), (_WIDE, y)], ink)
            yield text(-8, y + 4, value, "end")
        if step > 1:  # the line of no gain is drawn all the same
            _, y = self.at(self.ks[0], 1)
            yield line([(0, y), (_WIDE, y)], "#888888")
        for k in self.ks:
            yield text(self.at(k, 0)[0], _HIGH + 16, f"K={k}" if k == self.ks[0] else k, "middle")


def _lines(panel: _Panel, rows: Sequence[Row], key: str, lengths: Sequence[int]) -> Iterator[str]:
    for tokens, colour in zip(lengths, _inks(lengths), strict=True):
        points = sorted((row["k"], row[key]) for row in rows if row["tokens"] == tokens)
        placed = [panel.at(k, value) for k, value in points]
        if placed:
            yield line(placed, colour, 2)
        yield from (dot(at, colour) for at in placed)


def _key(left: int, lengths: Sequence[int]) -> Iterator[str]:
    yield text(left, _TOP + 4, "tokens a task")
    for i, (tokens, colour) in enumerate(zip(lengths, _inks(lengths), strict=True), 1):
        y = _TOP + 20 * i
        yield line([(left, y), (left + 20, y)], colour, 3)
        yield text(left + 28, y + 4, tokens)


def _inks(lengths: Sequence[int]) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(len(lengths))]
