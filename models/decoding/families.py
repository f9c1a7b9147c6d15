"""Decides which prompts are read together: those that begin alike, and those of similar length.

A long beginning that several prompts of one adapter share is read once. Prompts of similar length
share a rectangle of the cache, whose padding every written token attends over again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from arc.formats import Encoded

SHORTEST_SHARED = 64  # tokens; reading a shorter shared beginning apart does not pay
PADDING = 0.1  # most padding, as a share of a rectangle's real tokens
CHEAP_PADDING = 512  # padding that is always allowed: another rectangle would cost as much


@dataclass(frozen=True)
class Family:
    """Prompts of one slot, shortest first, and the number of first tokens that they share."""

    slot: int
    members: list[int]
    shared: int = 0  # 0: no shared beginning is read apart


def families(prompts: Sequence[Encoded], slots: Sequence[int]) -> list[Family]:
    """All prompts in families. Those of a slot are neighbours, and slots are sorted by the mean
    length of their prompts."""
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
    """Splits a list of lengths into runs of neighbours of similar length."""
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
    """The tokens from `start` to `end`."""
    cut = slice(start, end)
    return Encoded(encoded.ids[cut], encoded.positions[cut], encoded.labels[cut])


def _of_slot(prompts: Sequence[Encoded], slot: int, own: Sequence[int]) -> Iterator[Family]:
    """Families of one slot: neighbours in the order of their content, joined for as long as sharing
    a beginning saves reading tokens."""
    ordered = sorted(own, key=lambda i: _content(prompts[i]))
    members, shared = [ordered[0]], len(prompts[ordered[0]]) - 1
    for i in ordered[1:]:
        # every member keeps a last token of its own, whose output predicts the next
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
