"""The elements of plots: text, lines, dots, boxes, and the SVG page around them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

Point = tuple[float, float]

COLOURS = ("#0b6e99", "#d9730d", "#4d8a3d", "#b03a6f", "#6b5bb5", "#8a6d3b", "#444444")


def text(x: float, y: float, words: object, anchor: str = "start", *, size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="sans-serif" font-size="{size}"'
        f' text-anchor="{anchor}" fill="currentColor">{escape(str(words))}</text>'
    )


def line(points: Sequence[Point], ink: str, width: float = 1, *, told: str = "") -> str:
    """A line through all points. `told` is shown when the mouse points at it."""
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return _shape(f'path d="M{path}" fill="none" stroke="{ink}" stroke-width="{width:g}"', told)


def dot(at: Point, ink: str, radius: float = 3, *, told: str = "") -> str:
    return _shape(f'circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius:g}" fill="{ink}"', told)


def box(left: float, top: float, wide: float, high: float, ink: str, *, told: str = "") -> str:
    place = f'x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{high:.1f}"'
    return _shape(f'rect {place} rx="2" fill="{ink}"', told)


def mixed(ink: str, share: float) -> str:
    """A colour mixed with white; `share` is the colour's part."""
    parts = (int(ink[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + share * (part - 255)):02x}" for part in parts)


def group(left: float, top: float, parts: Iterable[str]) -> str:
    return f'<g transform="translate({left:.1f},{top:.1f})">{"".join(parts)}</g>'


def page(width: float, height: float, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" style="background:#fff;color:#222">'
        f"{''.join(parts)}</svg>"
    )


def round_values(low: float, high: float, about: int = 6) -> list[float]:
    """About `about` round values from `low` to `high`, to label an axis with."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _shape(spelled: str, told: str) -> str:
    name = spelled.partition(" ")[0]
    return f"<{spelled}><title>{escape(told)}</title></{name}>" if told else f"<{spelled}/>"
