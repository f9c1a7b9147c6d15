"""Threads that compute side by side, each on episodes of its own.

Where all cores share every product, they wait for each other at the end of each. If threads sleep
meanwhile, waking them costs a third of a step; if they stay awake, they take the cores that other
programs need. Here threads wait for each other only twice a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from arc.formats import Encoded

MOST = 4  # threads; the gradients of each have to be added up
Thing = TypeVar("Thing")
Made = TypeVar("Made")


class Crew:
    def __init__(self, device: torch.device) -> None:
        """On a GPU the crew is one thread, the caller's own."""
        threads = torch.get_num_threads() if device.type == "cpu" else 1
        self.size = min(threads, MOST)
        self.pool = ThreadPoolExecutor(
            self.size, "crew", initializer=torch.set_num_threads, initargs=(threads // self.size,)
        )

    def map(self, work: Callable[[Thing], Made], things: Sequence[Thing]) -> list[Made]:
        """Applies `work` to all things at once; results are in the things' order."""
        if self.size == 1:
            return [work(thing) for thing in things]
        return list(self.pool.map(work, things))


def shared_out(rows: Sequence[Encoded], many: int) -> list[list[Encoded]]:
    """Splits rows into `many` parts of nearly equally many tokens; fewer where rows are fewer."""
    parts: list[list[Encoded]] = [[] for _ in range(min(many, len(rows)))]
    tokens = [0] * len(parts)
    for row in sorted(rows, key=len, reverse=True):
        least = tokens.index(min(tokens))
        parts[least].append(row)
        tokens[least] += len(row)
    return parts
