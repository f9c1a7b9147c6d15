"""A sweep of the adapter store as a picture: what reuse saves against what it keeps.

Left: every setting, by the quality that it keeps and the seconds that it saves, a colour a
strategy; the recommended one is ringed. Right: hit rate by size at its threshold, a line a
strategy. Resting the mouse on a dot names its setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eval.cache_sweep import Swept
from eval.strokes import COLOURS, Point, dot, group, line, page, text

_LEFT, _TOP, _WIDE, _HIGH, _GAP = 64, 78, 460, 280, 90
_GRID = "#e4e4e4"


def picture(swept: Sequence[Swept], best: Swept, *, measured: bool) -> str:
    inks = {
        name: COLOURS[i % len(COLOURS)]
        for i, name in enumerate(dict.fromkeys(one.strategy for one in swept))
    }
    parts = [
        text(_LEFT, 26, "Adapters reused: what is saved, and what is kept", size=16),
        text(_LEFT, 46, f"recommended: {best}"),
        group(_LEFT, _TOP, _trade(swept, best, inks, measured)),
        group(_LEFT + _WIDE + _GAP, _TOP, _by_size(swept, best, inks)),
        *_key(inks),
    ]
    return page(_LEFT + 2 * _WIDE + _GAP + 130, _TOP + _HIGH + 52, parts)


def _trade(
    swept: Sequence[Swept], best: Swept, inks: dict[str, str], measured: bool
) -> Iterator[str]:
    low = min(0.0, *(one.quality for one in swept))
    high = max(1.0, *(one.quality for one in swept))
    most = max(one.seconds_saved for one in swept) or 1.0

    def at(one: Swept) -> Point:
        across = (one.quality - low) / (high - low)
        return _WIDE * across, _HIGH * (1 - one.seconds_saved / most)

    yield text(0, -12, "Seconds saved, over the whole stream")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y, x = _HIGH * (1 - share), _WIDE * share
        yield line([(0, y), (_WIDE, y)], _GRID)
        yield text(-8, y + 4, f"{most * share:.3g}", "end", size=11)
        yield text(x, _HIGH + 18, f"{low + (high - low) * share:.2f}", "middle", size=11)
    kept = "quality kept, of what training gains" if measured else "mean likeness of what answers"
    yield text(_WIDE / 2, _HIGH + 38, kept, "middle")
    for one in swept:
        yield dot(at(one), inks[one.strategy], 3.5, told=str(one))
    yield dot(at(best), "#222222", 8, told=str(best))
    yield dot(at(best), "#ffffff", 6, told=str(best))
    yield dot(at(best), inks[best.strategy], 4, told=str(best))


def _by_size(swept: Sequence[Swept], best: Swept, inks: dict[str, str]) -> Iterator[str]:
    sizes = sorted({one.size for one in swept})
    step = _WIDE / max(1, len(sizes) - 1)
    places = {size: i * step for i, size in enumerate(sizes)}
    yield text(0, -12, f"Hit rate by size, at threshold {best.threshold:g}")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _HIGH * (1 - share)
        yield line([(0, y), (_WIDE, y)], _GRID)
        yield text(-8, y + 4, f"{share:.0%}", "end", size=11)
    for size, x in places.items():
        yield text(x, _HIGH + 18, size, "middle", size=11)
    yield text(_WIDE / 2, _HIGH + 38, "adapters that are kept", "middle")
    for name, ink in inks.items():
        same = [s for s in swept if s.strategy == name and s.threshold == best.threshold]
        own = sorted(same, key=lambda one: one.size)
        at = [(places[one.size], _HIGH * (1 - one.hit_rate)) for one in own]
        yield line(at, ink, 2, told=name)
        yield from (dot(p, ink, 3.5, told=str(one)) for p, one in zip(at, own, strict=True))


def _key(inks: dict[str, str]) -> Iterator[str]:
    left = _LEFT + 2 * _WIDE + _GAP + 24
    for i, (name, ink) in enumerate(inks.items()):
        y = _TOP + 20 * i
        yield dot((left, y), ink, 4)
        yield text(left + 10, y + 4, name)
