"""Which entries a full adapter store evicts: five policies.

A policy orders the entries, and those in front are evicted until the rest fits. The order depends
only on the entries' usage and on the number of evictions so far, so the same history with the same
seed always evicts the same entries, also after a restart. The store and `eval/tune_cache.py`, which
replays query streams without adapters, both use this code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from hone.errors import BadInput


@dataclass(frozen=True)
class Usage:
    """What the store knows about an entry, except for its vector."""

    entry_id: str
    uses: int  # queries that it served
    created: float  # seconds since 1970
    last_used: int = 0  # the store's turn when it was last stored or used
    size: int = 0  # bytes on disk
    seconds: float = 0.0  # training time, which each use saves
    floor: float = 0.0  # worth of the last evicted entry, when this one was stored or last used


class Policy(Protocol):
    @property
    def ages(self) -> bool:
        """Whether the worth of evicted entries raises the worth of later entries."""
        ...

    def order(self, entries: Sequence[Usage], turn: int) -> list[Usage]:
        """The entries in the order in which they are to be evicted."""
        ...

    def worth(self, entry: Usage) -> float: ...


@dataclass(frozen=True)
class LeastWorth:
    """Evicts the entry that is worth least; of several, the oldest."""

    measure: Callable[[Usage], float]
    ages: bool = False

    def order(self, entries: Sequence[Usage], turn: int) -> list[Usage]:
        return sorted(entries, key=lambda entry: (self.measure(entry), *_age(entry)))

    def worth(self, entry: Usage) -> float:
        return self.measure(entry)


@dataclass(frozen=True)
class RandomReplacement:
    """Evicts a random entry, drawn from the seed and the turn."""

    seed: int = 0
    ages: bool = False

    def order(self, entries: Sequence[Usage], turn: int) -> list[Usage]:
        drawn = sorted(entries, key=_age)
        Random(f"{self.seed}/{turn}").shuffle(drawn)
        return drawn

    def worth(self, entry: Usage) -> float:
        return 0.0


def _uses_with_age(entry: Usage) -> float:
    """LFU with dynamic ageing: uses count from the worth of the last evicted entry, so that entries
    used often long ago do not stay for ever."""
    return entry.floor + entry.uses + 1


def _seconds_per_byte(entry: Usage) -> float:
    """Greedy-dual with size and frequency: seconds saved per byte, aged in the same way."""
    return entry.floor + (entry.uses + 1) * entry.seconds / max(entry.size, 1)


_BY_WORTH = {
    "lfu": LeastWorth(lambda entry: entry.uses),
    "lru": LeastWorth(lambda entry: entry.last_used),
    "lfu-ageing": LeastWorth(_uses_with_age, ages=True),
    "cost": LeastWorth(_seconds_per_byte, ages=True),
}
STRATEGIES = ("lfu", "random", "lru", "lfu-ageing", "cost")


def open_policy(strategy: str, seed: int = 0) -> Policy:
    if strategy == "random":
        return RandomReplacement(seed)
    if strategy in _BY_WORTH:
        return _BY_WORTH[strategy]
    raise BadInput(f"no adapter strategy is called {strategy!r}; use {', '.join(STRATEGIES)}")


@dataclass(frozen=True)
class Room:
    """The limits on what a store holds."""

    entries: int
    size: int = 0  # bytes; 0: no limit

    def holds(self, entries: int, size: int) -> bool:
        return entries <= self.entries and (not self.size or size <= self.size)


def leaving(
    policy: Policy, others: Sequence[Usage], newcomer: Usage, room: Room, turn: int
) -> list[Usage]:
    """The entries to evict so that the newcomer fits. The newcomer itself is never evicted."""
    entries, size = len(others) + 1, newcomer.size + sum(entry.size for entry in others)
    gone: list[Usage] = []
    for entry in policy.order(others, turn):
        if room.holds(entries, size):
            break
        gone.append(entry)
        entries, size = entries - 1, size - entry.size
    return gone


def _age(entry: Usage) -> tuple[float, str]:
    return entry.created, entry.entry_id
