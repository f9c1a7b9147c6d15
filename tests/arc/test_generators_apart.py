"""Each family asks for something of its own, and its demos say what.

Every task is put to rules of every family. A rule that fits all demos has to be of the task's own
family and to give the test's output; so no other family's rule gives a task's outputs, and the
demos leave one answer.

What is tried, and what is not. A family's rules are drawn until `ENOUGH` draws in a row bring
nothing new (at most `MOST`), and are told apart by what they make of `PANEL` inputs of the family.
Families are blind to which colours they use, so rules are drawn over `PALETTE` colours and a task's
colours are renamed, those in all its demos first; a rule is left out where an answer of its depends
on a colour that is not in all demos, or where it never keeps a grid's shape and the demo does, or
the other way round. Rules with very many forms (`stamp`, or three colours in order) are thereby
tried in part. Every task is drawn and read on black: read with another colour as the ground, some
tasks fit a rule of another family too, which is not asked here. Other seeds are not looked at, and
rules that no family has are not tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from random import Random

import numpy as np
import pytest

from arc.generators import FAMILIES, Family, sample_task
from arc.generators.family import Change
from arc.grid import COLOURS, Grid, frozen, same
from arc.task import Task

SEEDS = range(20)
PALETTE, PANEL, ENOUGH, MOST = 6, 8, 40, 300
STRANGER = COLOURS - 1  # a colour beyond the palette

every_family = pytest.mark.parametrize("chosen", FAMILIES.values(), ids=list(FAMILIES))


@dataclass(frozen=True)
class Known:
    """A rule with what the search has to know of it."""

    family: str
    apply: Change
    colours: frozenset[int]  # those that its answers depend on
    keeps_shape: frozenset[bool]  # whether an answer ever had its input's shape, and ever another


def made(apply: Change, cells: Grid) -> Grid | None:
    """The rule's answer, if the grid is of a kind that the rule knows."""
    try:
        answer = apply(cells)
    except (IndexError, ValueError, StopIteration):  # what it looks for is not there
        return None
    return answer if answer.size else None


@cache
def library() -> list[Known]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("arc.generators.drawing.COLOURS", PALETTE + 1)
        return [known for chosen in FAMILIES.values() for known in rules_of(chosen)]


def rules_of(chosen: Family) -> Iterator[Known]:
    rng = Random(chosen.name)
    panel = [frozen(chosen.start(rng).draw()) for _ in range(PANEL)]
    seen: set[str] = set()
    repeats = 0
    for _ in range(MOST):
        rule = chosen.start(rng)
        answers = [made(rule.apply, cells) for cells in panel]
        look = str([None if answer is None else answer.tolist() for answer in answers])
        repeats = repeats + 1 if look in seen else 0
        if repeats == ENOUGH:
            return
        if look not in seen:
            seen.add(look)
            inputs = [frozen(rule.draw()), *panel[:3]]
            kept = [
                a.shape == p.shape for a, p in zip(answers, panel, strict=True) if a is not None
            ]
            yield Known(chosen.name, rule.apply, depends_on(rule.apply, inputs), frozenset(kept))


def depends_on(apply: Change, inputs: list[Grid]) -> frozenset[int]:
    """The colours that cannot change places with a stranger and leave the rule as it is."""
    return frozenset(
        colour
        for colour in range(1, PALETTE + 1)
        if any(not agree(made(apply, x), made(swapped(apply, colour), x)) for x in inputs)
    )


def swapped(apply: Change, colour: int) -> Change:
    table = np.arange(COLOURS, dtype=np.uint8)
    table[[colour, STRANGER]] = STRANGER, colour
    return lambda cells: table[apply(table[cells])]


def agree(one: Grid | None, other: Grid | None) -> bool:
    return same(one, other) or (one is None and other is None)


def common_colours(task: Task) -> list[int]:
    found = [set(np.unique(np.r_[given.ravel(), made.ravel()])) for given, made in answered(task)]
    return sorted(int(colour) for colour in set.intersection(*found[: len(task.train)]))


def answered(task: Task) -> list[tuple[Grid, Grid]]:
    return [(p.input, p.output) for p in (*task.train, *task.test) if p.output is not None]


def renamed(task: Task) -> tuple[list[tuple[Grid, Grid]], frozenset[int]]:
    """The pairs with the colours of all demos as 1, 2 and so on; and which these are now."""
    first = [c for c in common_colours(task) if c != 0]
    order = [0, *first, *(c for c in range(1, COLOURS) if c not in first)]
    table = np.argsort(order).astype(np.uint8)
    pairs = [(table[given], table[made]) for given, made in answered(task)]
    return pairs, frozenset(range(1, len(first) + 1))


def strangers(chosen: Family, task: Task) -> list[str]:
    """Families with a rule that fits all demos, except the own one's right answer."""
    pairs, colours = renamed(task)
    *demos, (question, answer) = pairs
    demos.sort(key=lambda pair: pair[0].size)
    keeps = demos[0][0].shape == demos[0][1].shape
    fitting = (
        known
        for known in library()
        if known.colours <= colours and keeps in known.keeps_shape
        if all(same(made(known.apply, given), wanted) for given, wanted in demos)
    )
    return sorted(
        {
            known.family
            for known in fitting
            if known.family != chosen.name or not same(made(known.apply, question), answer)
        }
    )


@every_family
def test_demos_leave_one_rule(chosen: Family) -> None:
    on_black = replace(chosen, held_out=True)
    tasks = [sample_task(on_black, seed) for seed in SEEDS]
    found = {task.id: strangers(chosen, task) for task in tasks}
    assert not {name: others for name, others in found.items() if others}


def test_the_search_finds_the_rule_itself() -> None:
    """Were it never to find the task's own rule, it would find no other either."""
    found = 0
    for chosen in FAMILIES.values():
        task = sample_task(replace(chosen, held_out=True), 0)
        found += chosen.name in strangers(replace(chosen, name="another"), task)
    assert found > 0.9 * len(FAMILIES)
