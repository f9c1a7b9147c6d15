"""Who leaves a full adapter store: the least used, or anyone.

A policy is a function of what is known of the entries and of a turn (how many left before), so the
same history with the same seed always drops the same entry, over restarts too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from hone.errors import BadInput


@dataclass(frozen=True)
class Usage:
    entry_id: str
    uses: int
    created: float  # seconds since 1970


class Policy(Protocol):
    def victim(self, entries: Sequence[Usage], turn: int) -> str:
        """The id of the entry that leaves; `entries` is not empty."""
        ...


class LeastFrequentlyUsed:
    """The entry with the fewest hits; of equals, the oldest."""

    def victim(self, entries: Sequence[Usage], turn: int) -> str:
        return min(entries, key=lambda entry: (entry.uses, *_age(entry))).entry_id


@dataclass(frozen=True)
class RandomReplacement:
    """Any entry, drawn from the seed and the turn."""

    seed: int = 0

    def victim(self, entries: Sequence[Usage], turn: int) -> str:
        return Random(f"{self.seed}/{turn}").choice(sorted(entries, key=_age)).entry_id


STRATEGIES = ("lfu", "random")


def open_policy(strategy: str, seed: int = 0) -> Policy:
    if strategy == "lfu":
        return LeastFrequentlyUsed()
    if strategy == "random":
        return RandomReplacement(seed)
    raise BadInput(f"no adapter strategy is called {strategy!r}; use {' or '.join(STRATEGIES)}")


def _age(entry: Usage) -> tuple[float, str]:
    return entry.created, entry.entry_id
