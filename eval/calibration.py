"""Whether confidence can be believed: of attempts that were so sure, so many were right.

for band in bands([(0.9, True), (0.4, False), ...]):
    band.low, band.count, band.sure, band.right
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

BANDS = 5  # as wide as each other
Told = tuple[float, bool]  # the confidence in an attempt, and whether it was right


@dataclass(frozen=True)
class Band:
    low: float
    high: float
    count: int
    sure: float  # mean confidence
    right: float  # share


def bands(told: Iterable[Told]) -> list[Band]:
    """Those in which there are attempts, from unsure to sure."""
    own: dict[int, list[Told]] = {}
    for confidence, right in told:
        own.setdefault(min(int(confidence * BANDS), BANDS - 1), []).append((confidence, right))
    return [
        Band(
            i / BANDS,
            (i + 1) / BANDS,
            len(own[i]),
            sum(confidence for confidence, _ in own[i]) / len(own[i]),
            sum(right for _, right in own[i]) / len(own[i]),
        )
        for i in sorted(own)
    ]


def error(found: Sequence[Band]) -> float:
    """How far confidence and truth are apart in the mean over attempts."""
    count = sum(band.count for band in found)
    return sum(band.count * abs(band.sure - band.right) for band in found) / max(count, 1)


def print_calibration(told: Mapping[str, Iterable[Told]]) -> None:
    """Right of all, a line each way of voting and a column each band; then the mean error."""
    names = [f"{i * 100 // BANDS}-{(i + 1) * 100 // BANDS} %" for i in range(BANDS)]
    columns = " ".join(f"{name:>11}" for name in names)
    print(f"\n{'right at':17} {columns}  error")
    for voting, own in told.items():
        found = bands(own)
        cells = {band.low: f"{band.right:.0%} of {band.count}" for band in found}
        row = " ".join(f"{cells.get(i / BANDS, '-'):>11}" for i in range(BANDS))
        print(f"{voting:17} {row}  {error(found):5.3f}")
