"""Augmentations undo themselves and replay from their names."""

from __future__ import annotations

import random

import numpy as np
import pytest
from arc_strategies import augmentations, grids, tasks
from hypothesis import given
from hypothesis import strategies as st

from arc.augment import (
    IDENTITY,
    SYMMETRIES,
    Augmentation,
    colours,
    demo_order,
    random_augmentation,
    symmetry,
)
from arc.grid import Grid, grid, same, spell
from arc.task import Task
from hone.errors import BadInput

SQUARE = grid([[1, 2, 3], [4, 5, 6]])


@given(grids(), augmentations(demos=3))
def test_invert_undoes_grid(cells: Grid, augmentation: Augmentation) -> None:
    assert same(augmentation.invert(augmentation.grid(cells)), cells)
    assert same(augmentation.grid(augmentation.invert(cells)), cells)


@given(tasks(demos=(3, 3)), augmentations(demos=3))
def test_the_name_replays_it(task: Task, augmentation: Augmentation) -> None:
    again = Augmentation.parse(augmentation.name)
    assert again == augmentation
    assert again.apply(task) == augmentation.apply(task)


@given(tasks(demos=(3, 3)), augmentations(demos=3))
def test_apply_is_grid_on_every_grid(task: Task, augmentation: Augmentation) -> None:
    seen = augmentation.apply(task)
    assert sorted(spell(augmentation.invert(pair.input)) for pair in seen.train) == sorted(
        spell(pair.input) for pair in task.train
    )
    assert same(seen.test[0].input, augmentation.grid(task.test[0].input))
    assert seen.id == task.id


@given(grids(), st.data())
def test_then_is_one_after_the_other(cells: Grid, data: st.DataObject) -> None:
    first, second = data.draw(augmentations(demos=2)), data.draw(augmentations(demos=2))
    assert same(first.then(second).grid(cells), second.grid(first.grid(cells)))


def test_what_the_symmetries_do() -> None:
    spelled = {name: spell(symmetry(name).grid(SQUARE)) for name in SYMMETRIES}
    assert spelled == {
        "identity": "123/456",
        "rot90": "36/25/14",
        "rot180": "654/321",
        "rot270": "41/52/63",
        "fliplr": "321/654",
        "flipud": "456/123",
        "transpose": "14/25/36",
        "antitranspose": "63/52/41",
    }


def test_rotations_and_flips_compose_as_they_should() -> None:
    def spelled(*names: str) -> str:
        return spell(Augmentation.parse("+".join(names)).grid(SQUARE))

    assert spelled("rot90", "rot90") == spelled("rot180")
    assert spelled("rot90", "rot90", "rot90") == spelled("rot270")
    assert spelled("fliplr", "flipud") == spelled("rot180")
    assert spelled("transpose", "rot180") == spelled("antitranspose")


def test_colours_and_order() -> None:
    swap = colours([0, 2, 1, 3, 4, 5, 6, 7, 8, 9])
    assert spell(swap.grid(SQUARE)) == "213/456"
    assert symmetry("rot90").then(swap).then(demo_order([2, 0, 1])).name == (
        "rot90+colours:0213456789+demos:2,0,1"
    )


@given(tasks(demos=(3, 3)))
def test_demos_come_in_the_order_that_is_named(task: Task) -> None:
    assert demo_order([2, 0, 1]).apply(task).train == (task.train[2], task.train[0], task.train[1])


@given(tasks(demos=(2, 2)))
def test_an_order_for_other_demos_is_refused(task: Task) -> None:
    with pytest.raises(BadInput, match="orders 3 demos, there are 2"):
        demo_order([2, 0, 1]).apply(task)


def test_identity() -> None:
    assert IDENTITY.name == "identity"
    assert Augmentation.parse("identity") == symmetry("identity") == IDENTITY


def test_random_ones_keep_zero_unless_told_not_to() -> None:
    rng = random.Random(0)
    zeros = grid([[0]])
    kept = [random_augmentation(rng, 3).grid(zeros)[0, 0] for _ in range(50)]
    moved = [random_augmentation(rng, 3, keep_zero=False).grid(zeros)[0, 0] for _ in range(50)]
    assert set(kept) == {0}
    assert len(set(moved)) > 5


def test_random_ones_replay_from_their_seed_and_vary() -> None:
    names = [random_augmentation(random.Random(seed), 3).name for seed in range(200)]
    assert names == [random_augmentation(random.Random(seed), 3).name for seed in range(200)]
    turns = {name.partition("+")[0].partition(":")[0] for name in names}
    assert set(SYMMETRIES) - {"identity"} <= turns
    assert len(set(names)) > 190


@pytest.mark.parametrize("demos", [0, 1])
def test_random_ones_for_few_demos(demos: int) -> None:
    assert all(
        "demos" not in random_augmentation(random.Random(seed), demos).name for seed in range(20)
    )


@pytest.mark.parametrize(
    "name",
    [
        *("", "+", "rot90+", "rot91", "ROT90", " rot90", "rot90:1", "identity:"),
        *("colours:", "colours:012345678", "colours:0123456788", "colours:01234567890"),
        *("colours:\u0660123456789", "demos:", "demos:1", "demos:0,0", "demos:0,2", "demos:0, 1"),
        *("demos:-1,0", "demos:00", "colors:0123456789"),
    ],
)
def test_nonsense_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is not a step; steps are identity"):
        Augmentation.parse(name)


def test_an_unknown_symmetry_is_refused() -> None:
    with pytest.raises(BadInput, match="no symmetry 'rot45'; there are: identity, rot90"):
        symmetry("rot45")


def test_results_are_grids_like_any_other() -> None:
    turned = symmetry("rot90").grid(SQUARE)
    assert turned.dtype == np.uint8
    assert turned.flags.c_contiguous and not turned.flags.writeable
