"""Orders the questions of a file as people might ask them: topics that come and return.

A file has no order in time, but a store of adapters is useful when similar questions follow each
other. So a session is a question and those nearest to it that were not asked yet, and every third
session returns to an earlier topic.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def sessions(vectors: Vectors, seed: int, length: int = 5) -> list[int]:
    """The indices of all vectors in an order of sessions."""
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
