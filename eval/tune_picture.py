"""Draws a tuning: which candidates stayed, what they cost, and the effect of each setting.

Above: every candidate's solve rate over the rungs, with the best and the given settings in colour
and with their intervals; beside it, the same rates against seconds. Below: the first rung, in which
all candidates answered the same questions, by the values of each setting. Pointing at a line or a
dot shows its settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eval.judged import GIVEN, SETTINGS, Judged, ranked
from eval.strokes import COLOURS, dot, group, line, page, text

BEST, AS_GIVEN, OTHER, GRID = COLOURS[1], COLOURS[0], "#b8b8b8", "#e4e4e4"
_LEFT, _TOP, _GAP = 52, 100, 64  # place of the first panel, and gap between panels
_WIDE, _HIGH = 460, 250  # size of the panel of rungs
_COST = 370  # width of the panel of seconds
_SMALL_HIGH = 150
_WIDTH = _LEFT + _WIDE + _GAP + _COST + 30
_EDGE = 18  # distance of the outermost elements from a panel's sides


def picture(judged: Sequence[Judged]) -> str:
    best = ranked([one for one in judged if one.rung == judged[-1].rung])[0].candidate
    drawing = _Drawing(judged, best)
    below = _TOP + _HIGH + 100
    small = (_WIDTH - _LEFT - 30 - 3 * _GAP) / len(SETTINGS)
    parts = [*drawing.title(), group(_LEFT, _TOP, drawing.over_rungs())]
    parts.append(group(_LEFT + _WIDE + _GAP, _TOP, drawing.over_seconds()))
    first = [one for one in judged if one.rung == 1]
    parts.append(
        text(_LEFT, below - 34, f"On the first {first[0].questions} questions, by setting")
    )
    for i, name in enumerate(SETTINGS):
        left = _LEFT + i * (small + _GAP)
        parts.append(group(left, below, drawing.over_values(first, name, small)))
    return page(_WIDTH, below + _SMALL_HIGH + 48, parts)


class _Drawing:
    def __init__(self, judged: Sequence[Judged], best: int) -> None:
        self.judged, self.best = judged, best
        final = [one for one in judged if one.rung == judged[-1].rung]
        ends = [*(one.rate for one in judged), *(one.ci95[1] for one in final)]
        self.top = min(1.0, 0.02 + max(ends))

    def title(self) -> Iterator[str]:
        last = self.judged[-1].rung
        final = {one.candidate: one for one in self.judged if one.rung == last}
        yield text(_LEFT, 24, "Solve rate of held-out demos, by successive halving", size=16)
        for i, (number, words) in enumerate(((self.best, "best"), (GIVEN, "as given"))):
            y = 44 + 17 * i
            yield dot((_LEFT + 4, y - 4), self.ink(number), 4)
            yield text(_LEFT + 14, y, f"{words}: {final[number]} ({final[number].rate:.0%})")

    def over_rungs(self) -> Iterator[str]:
        rungs = sorted({one.rung: one for one in self.judged}.items())
        places = _spread([number for number, _ in rungs], _WIDE)
        yield text(0, -14, "Candidates that stayed, from rung to rung")
        yield from self._shares(_WIDE, _HIGH)
        for number, one in rungs:
            many = sum(other.rung == number for other in self.judged)
            yield text(places[number], _HIGH + 18, f"{one.questions} questions", "middle")
            yield text(places[number], _HIGH + 33, f"{many} candidates", "middle", size=11)
        for number in self._in_order():
            own = [one for one in self.judged if one.candidate == number]
            at = [(places[one.rung], self._down(one.rate, _HIGH)) for one in own]
            yield line(at, self.ink(number), self._weight(number), told=str(own[-1]))
            if number in (self.best, GIVEN):
                yield self._interval(own[-1], at[-1][0])
            yield from (
                dot(place, self.ink(number), 1.5 * self._weight(number), told=str(one))
                for place, one in zip(at, own, strict=True)
            )

    def over_seconds(self) -> Iterator[str]:
        """Each candidate's rate against its seconds, in its last rung."""
        last = {one.candidate: one for one in self.judged}
        most = max(one.seconds for one in last.values()) or 1.0
        yield text(0, -14, "Solve rate over seconds a question, at each candidate's last rung")
        yield from self._shares(_COST, _HIGH)
        for share in (0.0, 0.5, 1.0):
            yield text(_COST * share, _HIGH + 18, f"{most * share:.2g} s", "middle")
        for number in self._in_order():
            one = last[number]
            at = (_COST * one.seconds / most, self._down(one.rate, _HIGH))
            yield dot(at, self.ink(number), 2 * self._weight(number), told=str(one))

    def over_values(self, first: Sequence[Judged], name: str, wide: float) -> Iterator[str]:
        """A dot for each candidate, and a bar at the mean of each value."""
        places = _spread(sorted({getattr(one, name) for one in first}), wide)
        yield text(0, -12, SETTINGS[name])
        yield from self._shares(wide, _SMALL_HIGH)
        for known, x in places.items():
            own = [one for one in first if getattr(one, name) == known]
            y = self._down(sum(one.rate for one in own) / len(own), _SMALL_HIGH)
            yield text(x, _SMALL_HIGH + 18, f"{known:.4g}", "middle")
            yield line([(x - 16, y), (x + 16, y)], "#444444", 2.5, told=f"mean of {len(own)}")
            for i, one in enumerate(own):  # side by side, so that equal rates remain visible
                at = (x + 28 * ((i + 0.5) / len(own) - 0.5), self._down(one.rate, _SMALL_HIGH))
                yield dot(at, self.ink(one.candidate), 3.5, told=str(one))

    def _interval(self, one: Judged, x: float) -> str:
        ends = [(x, self._down(end, _HIGH)) for end in one.ci95]
        return line(ends, self.ink(one.candidate), told="95 % interval")

    def ink(self, number: int) -> str:
        return BEST if number == self.best else AS_GIVEN if number == GIVEN else OTHER

    def _weight(self, number: int) -> float:
        return 2.5 if number in (self.best, GIVEN) else 1.2

    def _in_order(self) -> list[int]:
        """Candidates in the order of drawing: coloured ones last, above the others."""
        numbers = {one.candidate for one in self.judged}
        return sorted(numbers, key=lambda number: (number == self.best, number == GIVEN))

    def _down(self, rate: float, high: float) -> float:
        return high * (1 - rate / self.top)

    def _shares(self, wide: float, high: float) -> Iterator[str]:
        """About four labelled grid lines."""
        step = next(s for s in (0.05, 0.1, 0.2, 0.25) if self.top / s <= 5 or s == 0.25)
        for i in range(int(self.top / step + 1e-9) + 1):
            y = self._down(i * step, high)
            yield line([(0, y), (wide, y)], GRID)
            yield text(-8, y + 4, f"{i * step:.0%}", "end", size=11)


def _spread(values: Sequence[float], wide: float) -> dict[float, float]:
    """Equally spaced places for the values, with room at both sides."""
    if len(values) == 1:
        return {values[0]: wide / 2}
    room = (wide - 2 * _EDGE) / (len(values) - 1)
    return {value: _EDGE + i * room for i, value in enumerate(values)}
