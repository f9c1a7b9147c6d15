"""Draws rows of titled grids below each other as one self-contained SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from arc.render import Column, svg_side_by_side

_SIZE = re.compile(r'width="(\d+)" height="(\d+)"')
_GAP, _LINE = 22, 20


def stacked(rows: Sequence[tuple[str, Sequence[Column]]], cell: int = 14) -> str:
    """An SVG with each row's title above its grids. If a column is called "expected", cells of
    later grids that differ from it are outlined."""
    parts, top, widest = [], 0, 0
    for title, columns in rows:
        expected = dict(columns).get("expected")
        drawn = svg_side_by_side(columns, cell=cell, compare_to=expected)
        width, height = map(int, _SIZE.search(drawn).groups())  # type: ignore[union-attr]
        parts.append(
            f'<text x="0" y="{top + 15}" font-family="sans-serif" font-size="14"'
            f' font-weight="bold">{escape(title)}</text>'
        )
        parts.append(drawn.replace("<svg ", f'<svg x="0" y="{top + _LINE}" ', 1))
        top, widest = top + _LINE + height + _GAP, max(widest, width)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{widest + 20}" height="{top}"'
        f' viewBox="-10 -5 {widest + 20} {top + 5}" style="background:#fff;color:#222">'
        + "".join(parts)
        + "</svg>"
    )
