"""Fingerprints: the same for a pair in all its looks, another for every other pair."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from arc.augment import colours, random_augmentation, symmetry
from arc.fingerprints import fingerprints, pair_fingerprint
from arc.generators import FAMILIES, sample_task
from arc.grid import Grid, frozen, grid
from arc.steps import SYMMETRIES
from arc.task import Pair, Task

SIDES = st.integers(1, 6)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    height, width = draw(SIDES), draw(SIDES)
    cells = draw(st.lists(st.integers(0, 9), min_size=height * width, max_size=height * width))
    return frozen(np.array(cells).reshape(height, width))


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    return Pair(draw(grids()), draw(grids()))


def looks(pair: Pair) -> set[tuple[str, str]]:
    """All that the pair can look like, colours aside: a slower way to say what is the same."""

    def spelled(cells: Grid, names: dict[int, int]) -> str:
        rows = [[names.setdefault(int(c), len(names)) for c in row] for row in cells]
        return str(rows)

    found = set()
    for name in SYMMETRIES:
        names: dict[int, int] = {}
        assert pair.output is not None
        both = [spelled(symmetry(name).grid(c), names) for c in (pair.input, pair.output)]
        found.add((both[0], both[1]))
    return found


@given(pairs(), st.integers(0, 2**32))
def test_every_look_of_a_pair_has_its_fingerprint(pair: Pair, seed: int) -> None:
    look = random_augmentation(Random(seed), 1, keep_zero=False)
    (other,) = look.apply(Task("", (pair,), ())).train
    assert pair_fingerprint(other) == pair_fingerprint(pair)


@given(pairs(), pairs())
def test_pairs_share_a_fingerprint_only_where_they_share_a_look(one: Pair, other: Pair) -> None:
    same = bool(looks(one) & looks(other))
    assert (pair_fingerprint(one) == pair_fingerprint(other)) == same


@given(pairs(), st.data())
def test_one_changed_cell_is_another_pair(pair: Pair, data: st.DataObject) -> None:
    assert pair.output is not None
    row = data.draw(st.integers(0, pair.output.shape[0] - 1))
    column = data.draw(st.integers(0, pair.output.shape[1] - 1))
    changed = pair.output.copy()
    changed[row, column] = data.draw(st.integers(0, 9))
    other = Pair(pair.input, frozen(changed))
    same = bool(looks(pair) & looks(other))
    assert (pair_fingerprint(other) == pair_fingerprint(pair)) == same


def test_grids_are_turned_together_and_recoloured_together() -> None:
    one, two = grid([[1, 2], [0, 0]]), grid([[1, 2], [3, 0]])
    swapped = colours([0, 2, 1, 3, 4, 5, 6, 7, 8, 9])
    turned = symmetry("rot90")
    both = pair_fingerprint(Pair(one, two))
    assert both != pair_fingerprint(Pair(one, turned.grid(two)))
    assert both != pair_fingerprint(Pair(swapped.grid(one), two))
    assert both != pair_fingerprint(Pair(two, one))


def test_where_one_grid_ends_and_the_other_begins_counts() -> None:
    whole, half = grid([[0, 0, 0, 0]]), grid([[0, 0]])
    three, one = grid([[0, 0, 0]]), grid([[0]])
    found = {pair_fingerprint(p) for p in (Pair(three, one), Pair(half, half), Pair(whole))}
    assert len(found) == 3


def test_families_do_not_collide() -> None:
    tasks = [sample_task(family, seed) for family in FAMILIES.values() for seed in range(4)]
    own = [pair for task in tasks for pair in (*task.train, *task.test)]
    assert len(fingerprints(own)) == len({frozenset(looks(pair)) for pair in own})


def test_a_list_is_sorted_and_holds_each_once() -> None:
    one, other = Pair(grid([[1]]), grid([[2, 3]])), Pair(grid([[1]]), grid([[1, 1]]))
    again = Pair(grid([[5]]), grid([[7, 0]]))
    found = fingerprints([one, other, again])
    assert found.dtype == np.uint64 and len(found) == 2 and found[0] < found[1]
    assert fingerprints([]).dtype == np.uint64 and len(fingerprints([])) == 0
