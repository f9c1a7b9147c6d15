"""Replays what an adapter store with given settings would have done with a stream.

    costs = Costs(seconds, sizes)
    replayed = replay(cosines, costs, size=4, threshold=0.4, strategy="lfu")

Which adapter answers a query depends only on vectors, and which are evicted on the costs of
trainings, so nothing is trained: queries and their adapters are represented by numbers. A test
checks that the decisions are those of the store.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from client.adapters.shelf import ROUNDING
from client.policies import Room, Usage, leaving, open_policy

Cosines = npt.NDArray[np.float32]  # [queries, queries]


@dataclass(frozen=True)
class Costs:
    """Costs of each query's own adapter."""

    seconds: Sequence[float]
    sizes: Sequence[int]  # in bytes


@dataclass(frozen=True)
class Replayed:
    served: tuple[int, ...]  # number of the adapter that each query got; its own if it was trained
    most_bytes: int  # most bytes that were stored at once

    @property
    def hits(self) -> list[tuple[int, int]]:
        """Pairs of a query and another query, whose adapter answered it."""
        return [(i, j) for i, j in enumerate(self.served) if i != j]

    @property
    def hit_rate(self) -> float:
        return len(self.hits) / len(self.served)


class _Kept:
    """The store's entries, represented by the numbers of their queries."""

    def __init__(self, costs: Costs, room: Room, strategy: str, seed: int) -> None:
        self.costs, self.room = costs, room
        self.policy = open_policy(strategy, seed)
        self.usages: dict[int, Usage] = {}  # in the order in which they were stored
        self.turn, self.left, self.floor = 0, 0, 0.0

    @property
    def bytes(self) -> int:
        return sum(usage.size for usage in self.usages.values())

    def find(self, cosines_N: Cosines, threshold: float) -> int | None:
        there = list(self.usages)
        if not there:
            return None
        best = there[int(np.argmax(cosines_N[there]))]
        return best if cosines_N[best] >= threshold - ROUNDING else None

    def use(self, j: int) -> None:
        self.turn += 1
        known = self.usages[j]
        self.usages[j] = dataclasses.replace(
            known, uses=known.uses + 1, last_used=self.turn, floor=self.floor
        )

    def add(self, i: int) -> None:
        size, seconds = self.costs.sizes[i], self.costs.seconds[i]
        if not self.room.holds(1, size):
            return
        newcomer = Usage(str(i), 0, float(i), size=size, seconds=seconds)
        others = list(self.usages.values())
        gone = leaving(self.policy, others, newcomer, self.room, self.left)
        if gone and self.policy.ages:
            self.floor = self.policy.worth(gone[-1])
        for usage in gone:
            del self.usages[int(usage.entry_id)]
        self.left += len(gone)
        self.turn += 1
        self.usages[i] = dataclasses.replace(newcomer, last_used=self.turn, floor=self.floor)


def replay(
    cosines_NN: Cosines,
    costs: Costs,
    *,
    size: int,
    threshold: float,
    strategy: str,
    most_bytes: int = 0,
    seed: int = 0,
) -> Replayed:
    kept = _Kept(costs, Room(size, most_bytes), strategy, seed)
    served, most = [], 0
    for i in range(len(cosines_NN)):
        j = kept.find(cosines_NN[i], threshold)
        if j is None:
            kept.add(i)
            most = max(most, kept.bytes)
        else:
            kept.use(j)
        served.append(i if j is None else j)
    return Replayed(tuple(served), most)
