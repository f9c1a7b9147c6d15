"""Pseudo-tasks are made of a task's demos and of nothing else."""

from __future__ import annotations

import pytest
from arc_strategies import recipes, tasks
from hypothesis import given
from hypothesis import strategies as st
from tiny_bases import small_task

from arc.pseudo import augmented_pseudo_tasks, direct_pairs, leave_one_out, leave_two_out
from arc.recipes import Recipe
from arc.task import Task
from hone.errors import BadInput


@given(tasks(demos=(2, 5)))
def test_each_demo_is_the_test_once(task: Task) -> None:
    pseudo = leave_one_out(task)
    assert [one.id for one in pseudo] == [f"abc.loo{i}" for i in range(len(task.train))]
    assert tuple(one.test[0] for one in pseudo) == task.train
    for i, one in enumerate(pseudo):
        assert one.train == task.train[:i] + task.train[i + 1 :]


@given(tasks(demos=(1, 1)))
def test_a_lone_demo_gives_nothing(task: Task) -> None:
    assert leave_one_out(task) == []
    with pytest.raises(BadInput, match="task abc has 1 demo"):
        augmented_pseudo_tasks(task, 3, seed=0)


@given(tasks(demos=(1, 5)))
def test_every_demo_is_asked_for_without_each_other_one(task: Task) -> None:
    pseudo = leave_two_out(task)
    count = len(task.train)
    assert len(pseudo) == (count * (count - 1) if count > 2 else 0)
    assert len({one.id for one in pseudo}) == len(pseudo)
    for one in pseudo:
        asked, missing = map(int, one.id.removeprefix("abc.lto").split("-"))
        assert one.test == (task.train[asked],)
        kept = [pair for i, pair in enumerate(task.train) if i not in (asked, missing)]
        assert asked != missing and one.train == tuple(kept)
    assert [one.test[0] for one in pseudo[:count]] == list(task.train[: len(pseudo)])


@given(tasks())
def test_direct_pairs_have_no_demos(task: Task) -> None:
    direct = direct_pairs(task)
    assert [one.id for one in direct] == [f"abc.direct{i}" for i in range(len(task.train))]
    assert tuple(one.test[0] for one in direct) == task.train
    assert not any(one.train for one in direct)


@given(tasks(demos=(2, 4)), recipes(), st.sampled_from([1, 2]))
def test_augmented_ones_replay_and_do_not_move_when_more_are_asked_for(
    task: Task, recipe: Recipe, leave_out: int
) -> None:
    few, more = (augmented_pseudo_tasks(task, count, 7, recipe, leave_out) for count in (3, 9))
    assert more[:3] == few
    known = {one.id: one for one in (*leave_one_out(task), *leave_two_out(task))}
    for augmentation, seen in more:
        assert augmentation.apply(known[seen.id]) == seen


def test_every_second_one_leaves_two_out() -> None:
    task = small_task("t", demos=3)
    ids = [seen.id for _, seen in augmented_pseudo_tasks(task, 6, 0, leave_out=2)]
    assert ids == ["t.loo0", "t.lto0-1", "t.loo1", "t.lto1-2", "t.loo2", "t.lto2-0"]
    of_two = augmented_pseudo_tasks(small_task("t", demos=2), 3, 0, leave_out=2)
    assert [seen.id for _, seen in of_two] == ["t.loo0", "t.loo1", "t.loo0"]


def test_direct_ones_are_its_pairs_in_turn_and_need_one_demo() -> None:
    made = augmented_pseudo_tasks(small_task("t", demos=1), 3, 0, direct=True)
    assert [seen.id for _, seen in made] == ["t.direct0"] * 3
    assert not any(seen.train for _, seen in made)


def test_the_usual_items_stay_the_same_from_version_to_version() -> None:
    made = augmented_pseudo_tasks(small_task("t", 3, demos=4), 5, 7)
    assert [f"{seen.id} {augmentation.name}" for augmentation, seen in made] == [
        "t.loo0 flipud+colours:0376185249+demos:0,2,1",
        "t.loo1 transpose+colours:0241587369+demos:2,0,1",
        "t.loo2 colours:0415239876+demos:2,0,1",
        "t.loo3 rot270+colours:0625917348+demos:2,1,0",
        "t.loo0 antitranspose+colours:0863295147+demos:1,2,0",
    ]
