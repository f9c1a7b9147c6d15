"""Which prompts are read together: those that begin alike, and those of like length.

A long beginning that several prompts of one adapter share is read once; prompts of like length
share a rectangle of the cache, whose padding is read again with every token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from arc.formats import Encoded

SHORTEST_SHARED = 64  # tokens from which a beginning is worth being read apart
PADDING = 0.1  # of a rectangle's tokens
CHEAP_PADDING = 512  # tokens a rectangle may hold of it anyway: one rectangle more costs as much


@dataclass(frozen=True)
class Family:
    """Prompts of one slot, shortest first, and how many first tokens they have in common."""

    slot: int
    members: list[int]
    shared: int = 0  # 0: they have no beginning of their own


def families(prompts: Sequence[Encoded], slots: Sequence[int]) -> list[Family]:
    """All prompts, each slot's together, slots of like length beside each other."""
    own: dict[int, list[int]] = {}
    for i, slot in enumerate(slots):
        own.setdefault(slot, []).append(i)

    def mean_length(slot: int) -> float:
        return sum(len(prompts[i]) for i in own[slot]) / len(own[slot])

    found = []
    for slot in sorted(own, key=mean_length):
        alike = [_by_length(family, prompts) for family in _of_slot(prompts, slot, own[slot])]
        found += sorted(alike, key=lambda family: len(prompts[family.members[0]]))
    return found


def rectangles(lengths: Sequence[int]) -> Iterator[slice]:
    """Neighbours of like length."""
    start, longest, tokens = 0, 0, 0
    for i, length in enumerate(lengths):
        wider = max(longest, length)
        padding = wider * (i + 1 - start) - tokens - length
        if i > start and padding > max(CHEAP_PADDING, PADDING * (tokens + length)):
            yield slice(start, i)
            start, tokens, wider = i, 0, length
        longest, tokens = wider, tokens + length
    if lengths:
        yield slice(start, len(lengths))


def part(encoded: Encoded, start: int, end: int | None = None) -> Encoded:
    cut = slice(start, end)
    return Encoded(encoded.ids[cut], encoded.positions[cut], encoded.labels[cut])


def _of_slot(prompts: Sequence[Encoded], slot: int, own: Sequence[int]) -> Iterator[Family]:
    """Neighbours in the order of their content, for as long as sharing reads fewer tokens."""
    ordered = sorted(own, key=lambda i: _content(prompts[i]))
    members, shared = [ordered[0]], len(prompts[ordered[0]]) - 1
    for i in ordered[1:]:
        # every member keeps a token of its own to go on from
        common = min(shared, _common(prompts[members[-1]], prompts[i]), len(prompts[i]) - 1)
        saved = shared * (len(members) - 1)
        if common >= SHORTEST_SHARED and common * len(members) > saved:
            members, shared = [*members, i], common
        else:
            yield Family(slot, members, shared if len(members) > 1 else 0)
            members, shared = [i], len(prompts[i]) - 1
    yield Family(slot, members, shared if len(members) > 1 else 0)


def _content(encoded: Encoded) -> bytes:
    return np.stack((encoded.ids, encoded.positions), axis=1).astype(">i8").tobytes()


def _common(one: Encoded, other: Encoded) -> int:
    length = min(len(one), len(other))
    same = (one.ids[:length] == other.ids[:length]) & (
        one.positions[:length] == other.positions[:length]
    )
    return length if same.all() else int(same.argmin())


def _by_length(family: Family, prompts: Sequence[Encoded]) -> Family:
    members = sorted(family.members, key=lambda i: len(prompts[i]))
    return Family(family.slot, members, family.shared)
