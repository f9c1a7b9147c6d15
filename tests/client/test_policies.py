"""Who leaves a full store, by each of its strategies."""

from __future__ import annotations

from collections import Counter

from client.policies import Room, Usage, leaving, open_policy


def first_to_leave(strategy: str, entries: list[Usage], turn: int = 0) -> str:
    return open_policy(strategy, seed=3).order(entries, turn)[0].entry_id


def test_random_asks_every_entry_alike() -> None:
    entries = [Usage(name, uses, 0.0) for name, uses in (("a", 0), ("b", 5), ("c", 9))]
    drawn = Counter(first_to_leave("random", entries, turn) for turn in range(300))
    assert min(drawn[name] for name in "abc") > 70
    assert {first_to_leave("lfu", entries, turn) for turn in range(9)} == {"a"}


def test_each_strategy_has_its_own_first_to_leave() -> None:
    entries = [
        Usage("rare", 1, 0.0, last_used=9, size=10, seconds=50, floor=9),
        Usage("stale", 5, 1.0, last_used=1, size=10, seconds=40, floor=8),
        Usage("faded", 6, 2.0, last_used=2, size=10, seconds=20, floor=0),
        Usage("cheap", 4, 3.0, last_used=3, size=1000, seconds=10, floor=9),
    ]
    wanted = {"lfu": "rare", "lru": "stale", "lfu-ageing": "faded", "cost": "cheap"}
    assert {name: first_to_leave(name, entries) for name in wanted} == wanted


def test_as_many_leave_as_it_takes() -> None:
    entries = [Usage(name, i, float(i), size=10) for i, name in enumerate("abcd")]
    policy, newcomer = open_policy("lfu"), Usage("new", 0, 9.0, size=25)

    def gone(**room: int) -> str:
        leave = leaving(policy, entries, newcomer, Room(**({"entries": 9} | room)), 0)
        return "".join(entry.entry_id for entry in leave)

    assert gone() == gone(size=65) == "" and gone(size=64) == "a" and gone(size=40) == "abc"
    assert gone(entries=4) == "a" and gone(entries=4, size=45) == "ab"
    assert gone(entries=1) == gone(size=1) == "abcd"  # the newcomer is not asked
