"""Rows of titled grids, one below the other, as one self-contained SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence

from arc.render import Column, svg_side_by_side

_SIZE = re.compile(r'width="(\d+)" height="(\d+)"')
_GAP, _LINE = 22, 20


def stacked(rows: Sequence[tuple[str, Sequence[Column]]], cell: int = 14) -> str:
    """Each row's title above its grids; the last grid's wrong cells are outlined where the second
    column is what was expected."""
    parts, top, widest = [], 0, 0
    for title, columns in rows:
        drawn = svg_side_by_side(columns, cell=cell)
        width, height = map(int, _SIZE.search(drawn).groups())  # type: ignore[union-attr]
        parts.append(
            f'<text x="0" y="{top + 15}" font-family="sans-serif" font-size="14"'
            f' font-weight="bold">{title}</text>'
        )
        parts.append(drawn.replace("<svg ", f'<svg x="0" y="{top + _LINE}" ', 1))
        top, widest = top + _LINE + height + _GAP, max(widest, width)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{widest + 20}" height="{top}"'
        f' viewBox="-10 -5 {widest + 20} {top + 5}" style="background:#fff;color:#222">'
        + "".join(parts)
        + "</svg>"
    )
