"""Compares confidence with truth: of attempts with some confidence, how many were right.

for band in bands([(0.9, True), (0.4, False), ...]):
    band.low, band.count, band.sure, band.right
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

BANDS = 5  # number of bands of confidence, equally wide
Told = tuple[float, bool]  # the confidence in an attempt, and whether it was right


@dataclass(frozen=True)
class Band:
    low: float
    high: float
    count: int
    sure: float  # mean confidence
    right: float  # share of right attempts


def bands(told: Iterable[Told]) -> list[Band]:
    """The bands that contain attempts, lowest confidence first."""
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
    """Expected calibration error: the mean gap between confidence and truth over attempts."""
    count = sum(band.count for band in found)
    return sum(band.count * abs(band.sure - band.right) for band in found) / max(count, 1)


def print_calibration(told: Mapping[str, Iterable[Told]]) -> None:
    """Prints the share of right attempts, with a line for each voter and a column for each band,
    and then the calibration error."""
    names = [f"{i * 100 // BANDS}-{(i + 1) * 100 // BANDS} %" for i in range(BANDS)]
    columns = " ".join(f"{name:>11}" for name in names)
    print(f"\n{'right at':17} {columns}  error")
    for voting, own in told.items():
        found = bands(own)
        cells = {band.low: f"{band.right:.0%} of {band.count}" for band in found}
        row = " ".join(f"{cells.get(i / BANDS, '-'):>11}" for i in range(BANDS))
        print(f"{voting:17} {row}  {error(found):5.3f}")
