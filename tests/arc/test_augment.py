"""Augmentations undo themselves and replay from their names."""

from __future__ import annotations

import random

import numpy as np
import pytest
from arc_strategies import LARGER, augmentations, grids, larger, tasks
from hypothesis import given
from hypothesis import strategies as st

from arc.augment import (
    IDENTITY,
    Augmentation,
    colours,
    demo_order,
    random_augmentation,
    symmetry,
)
from arc.grid import MAX_SIDE, Grid, grid, same, spell
from arc.steps import SYMMETRIES
from arc.task import Task
from hone.errors import BadInput

SQUARE = grid([[1, 2, 3], [4, 5, 6]])


@given(grids(), augmentations(demos=3))
def test_invert_undoes_grid(cells: Grid, augmentation: Augmentation) -> None:
    assert augmentation.invertible
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


def test_a_shift_goes_round() -> None:
    def shifted(name: str) -> str:
        return spell(Augmentation.parse(name).grid(SQUARE))

    assert shifted("shift:1,0") == "456/123"
    assert shifted("shift:0,1") == "312/645"
    assert shifted("shift:5,4") == shifted("shift:1,1") == "645/312"


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("mirror:below", "123/456/456/123"),
        ("mirror:above", "456/123/123/456"),
        ("mirror:right", "123321/456654"),
        ("mirror:left", "321123/654456"),
        ("scale:2,1", "123/123/456/456"),
        ("scale:1,2", "112233/445566"),
        ("tile:2,1", "123/456/123/456"),
        ("tile:1,2", "123123/456456"),
        ("transpose+scale:1,2", "1144/2255/3366"),
        ("scale:1,2+transpose", "14/14/25/25/36/36"),
    ],
)
def test_what_makes_grids_larger(name: str, result: str) -> None:
    assert spell(Augmentation.parse(name).grid(SQUARE)) == result


@given(grids(side=3), larger())
def test_what_makes_grids_larger_has_no_way_back(cells: Grid, augmentation: Augmentation) -> None:
    after = augmentation.grid(cells)
    assert after.size > cells.size
    assert not augmentation.invertible
    with pytest.raises(BadInput, match="cannot be undone: most grids are not the result of it"):
        augmentation.invert(after)


@given(grids(), st.integers(1, 3), st.integers(1, 3))
def test_a_larger_grid_holds_the_first(cells: Grid, rows: int, columns: int) -> None:
    height, width = cells.shape
    if height * rows > MAX_SIDE or width * columns > MAX_SIDE:
        return
    scaled, tiled = (
        Augmentation.parse(f"{kind}:{rows},{columns}").grid(cells) for kind in ("scale", "tile")
    )
    assert all(
        same(scaled[r::rows, c::columns], cells) for r in range(rows) for c in range(columns)
    )
    blocks = [np.split(row, columns, axis=1) for row in np.split(tiled, rows)]
    assert all(same(block, cells) for row in blocks for block in row)


@given(grids(), st.one_of(augmentations(demos=2), larger()))
def test_the_shape_is_known_beforehand(cells: Grid, augmentation: Augmentation) -> None:
    shape = augmentation.shape(cells.shape)
    if max(shape) <= MAX_SIDE:
        assert augmentation.grid(cells).shape == shape
    else:
        with pytest.raises(BadInput, match="a grid has at most 30 of each"):
            augmentation.grid(cells)


@given(tasks(demos=(1, 2), side=30), larger())
def test_what_fits_can_be_applied_and_nothing_else(task: Task, augmentation: Augmentation) -> None:
    if augmentation.fits(task):
        assert augmentation.apply(task).id == task.id
    else:
        with pytest.raises(BadInput, match="a grid has at most 30 of each"):
            augmentation.apply(task)


@pytest.mark.parametrize("name", [*LARGER, "shift:0,29", "scale:30,1+colours:0213456789"])
def test_every_name_is_its_own(name: str) -> None:
    again = Augmentation.parse(name)
    assert again.name == name and Augmentation.parse(again.name) == again


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
        *("shift:", "shift:1", "shift:1,30", "shift:-1,0", "shift:1,2,3", "shift:01,2"),
        *("scale:0,1", "scale:2", "scale:31,1", "tile:2,", "tile:2.0,1", "mirror:", "mirror:up"),
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
