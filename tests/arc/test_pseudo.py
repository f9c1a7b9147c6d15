"""Pseudo-tasks are made of a task's demos and of nothing else."""

from __future__ import annotations

import pytest
from arc_strategies import tasks
from hypothesis import given

from arc.pseudo import augmented_leave_one_out, direct_pairs, leave_one_out
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
        augmented_leave_one_out(task, 3, seed=0)


@given(tasks())
def test_direct_pairs_have_no_demos(task: Task) -> None:
    direct = direct_pairs(task)
    assert [one.id for one in direct] == [f"abc.direct{i}" for i in range(len(task.train))]
    assert tuple(one.test[0] for one in direct) == task.train
    assert not any(one.train for one in direct)


@given(tasks(demos=(2, 4)))
def test_augmented_ones_replay_and_do_not_move_when_more_are_asked_for(task: Task) -> None:
    few, more = (augmented_leave_one_out(task, count, seed=7) for count in (3, 9))
    assert more[:3] == few
    held_out = leave_one_out(task)
    for i, (augmentation, seen) in enumerate(more):
        assert augmentation.apply(held_out[i % len(held_out)]) == seen
