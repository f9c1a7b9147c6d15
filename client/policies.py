"""Who leaves a full adapter store: five ways to decide it.

A policy orders what is there by what is known of it, and those in front leave until the rest fits.
It is a function of that and of a turn (how many left before), so the same history with the same
seed always drops the same entry, over restarts too. The store and `eval/tune_cache.py`, which
replays streams without adapters, decide by the same lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from hone.errors import BadInput


@dataclass(frozen=True)
class Usage:
    """What is known of an entry beside its vector."""

    entry_id: str
    uses: int  # queries that it served
    created: float  # seconds since 1970
    last_used: int = 0  # turn of the store: stored, or used
    size: int = 0  # bytes on disk
    seconds: float = 0.0  # that its training took: what a use saves
    floor: float = 0.0  # what the last one that left was worth, when this one was last used


class Policy(Protocol):
    @property
    def ages(self) -> bool:
        """Whether what left raises what newcomers are worth."""
        ...

    def order(self, entries: Sequence[Usage], turn: int) -> list[Usage]:
        """Who leaves first stands in front."""
        ...

    def worth(self, entry: Usage) -> float: ...


@dataclass(frozen=True)
class LeastWorth:
    """What is worth least leaves; of equals, the oldest."""

    measure: Callable[[Usage], float]
    ages: bool = False

    def order(self, entries: Sequence[Usage], turn: int) -> list[Usage]:
        return sorted(entries, key=lambda entry: (self.measure(entry), *_age(entry)))

    def worth(self, entry: Usage) -> float:
        return self.measure(entry)


@dataclass(frozen=True)
class RandomReplacement:
    """Any entry, drawn from the seed and the turn."""

    seed: int = 0
    ages: bool = False

    def order(self, entries: Sequence[Usage], turn: int) -> list[Usage]:
        drawn = sorted(entries, key=_age)
        Random(f"{self.seed}/{turn}").shuffle(drawn)
        return drawn

    def worth(self, entry: Usage) -> float:
        return 0.0


def _uses_with_age(entry: Usage) -> float:
    """Dynamic ageing: uses count above what left last, so that old fame does not protect for
    ever."""
    return entry.floor + entry.uses + 1


def _seconds_per_byte(entry: Usage) -> float:
    """Greedy-dual with size and frequency: seconds saved a byte, aged in the same way."""
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
    """What a store may hold."""

    entries: int
    size: int = 0  # bytes; 0: as many as they take

    def holds(self, entries: int, size: int) -> bool:
        return entries <= self.entries and (not self.size or size <= self.size)


def leaving(
    policy: Policy, others: Sequence[Usage], newcomer: Usage, room: Room, turn: int
) -> list[Usage]:
    """Those that make room for the newcomer, who is not asked to leave."""
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
