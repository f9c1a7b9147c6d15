"""How much of a run is done, and the learning rate at that point: warm-up, full rate, decay."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

WARM_UP = 0.02  # share of the run


@dataclass(frozen=True)
class Budget:
    """How long a run trains: a number of steps where one is given, otherwise minutes."""

    minutes: float
    steps: int = 0

    def share(self, seconds: float, steps: int) -> float:
        """The share of the budget that is used, at most 1."""
        used = steps / self.steps if self.steps else seconds / (60 * self.minutes)
        return min(1.0, used)

    def __str__(self) -> str:
        return f"--steps {self.steps}" if self.steps else f"--minutes {self.minutes:g}"

    def spelled(self) -> dict[str, Any]:
        return asdict(self)


def rate_at(share: float, decay: float) -> float:
    """The share of the full learning rate: it rises over the first 2 % of the run and falls
    linearly to zero over the last `decay`."""
    rising = min(1.0, share / WARM_UP + 0.02)
    falling = min(1.0, (1.0 - share) / decay) if decay else 1.0
    return min(rising, falling)


def decays_at(share: float, decay: float) -> bool:
    return share > 1.0 - decay
