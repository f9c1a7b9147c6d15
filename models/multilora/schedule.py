"""Learning-rate schedules by name: the share of its learning rate that a slot uses at each step.

Each rises linearly over the warm-up's share of the steps. Then `constant` stays at 1, `linear`
falls evenly and `cosine` along half a wave; the latter two would reach zero one step after the
last.
"""

from __future__ import annotations

import math
from collections.abc import Callable

FALLS: dict[str, Callable[[float], float]] = {  # from the share of steps left, 1 to 0
    "linear": lambda left: left,
    "constant": lambda left: 1.0,
    "cosine": lambda left: (1 - math.cos(math.pi * left)) / 2,
}


def rate_share(schedule: str, step: int, steps: int, warmup: float = 0.0) -> float:
    """The share at `step`, counted from 0, in a training of `steps`."""
    rising = (step + 1) / max(1.0, warmup * steps)
    left = (steps - step) / max(1.0, (1 - warmup) * steps)
    return min(1.0, rising, FALLS[schedule](min(1.0, left)))
