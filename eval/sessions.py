"""Questions of a file in an order that people might ask them in: topics that come and go.

A file has no order in time, and a store of adapters lives on what is asked alike soon after. So a
session is a question and those nearest to it that were not asked yet, and each third session goes
back to an earlier topic.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def sessions(vectors: Vectors, seed: int, length: int = 5) -> list[int]:
    """An order of all of them."""
    rng = np.random.default_rng(seed)
    left = set(range(len(vectors)))
    order: list[int] = []
    topics: list[int] = []
    while left:
        back = len(topics) > 1 and len(topics) % 3 == 2
        around = int(rng.choice(topics)) if back else int(rng.choice(sorted(left)))
        topics.append(around)
        waiting = np.array(sorted(left))
        near = waiting[np.argsort(-(vectors[waiting] @ vectors[around]), kind="stable")[:length]]
        order += near.tolist()
        left -= set(near.tolist())
    return order
