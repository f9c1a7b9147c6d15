"""Tasks to and from JSON, with every fault named."""

from __future__ import annotations

from typing import Any

import pytest
from arc_strategies import tasks
from hypothesis import given

from arc.grid import grid
from arc.task import Pair, Task, task_from_json, task_to_json
from hone.errors import BadInput

PAIR = {"input": [[1]], "output": [[2]]}


@given(tasks())
def test_round_trip(task: Task) -> None:
    assert task_from_json(task_to_json(task), task.id, "here") == task


def test_pairs_compare_by_their_cells() -> None:
    assert Pair(grid([[1, 2]])) == Pair(grid([[1, 2]]))
    assert Pair(grid([[1, 2]])) != Pair(grid([[1, 2]]), grid([[1]]))
    assert len({Pair(grid([[1, 2]])), Pair(grid([[1, 2]])), Pair(grid([[1, 3]]))}) == 2


def test_a_test_pair_may_have_no_output() -> None:
    for test in ({"input": [[1]]}, {"input": [[1]], "output": None}):
        task = task_from_json({"train": [PAIR], "test": [test]}, "abc", "here")
        assert task.test[0].output is None
        assert task_to_json(task)["test"] == [{"input": [[1]]}]


def test_answers_can_be_taken_away() -> None:
    task = task_from_json({"train": [PAIR], "test": [PAIR, PAIR]}, "abc", "here")
    assert [pair.output for pair in task.without_answers().test] == [None, None]
    assert task.with_test(1).test == (task.test[1],)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], 'a task is an object with "train" and "test"'),
        ({"train": [PAIR]}, 'a task is an object with "train" and "test"'),
        ({"train": [], "test": [PAIR]}, "here: train is empty"),
        ({"train": PAIR, "test": [PAIR]}, "here: train is empty or not a list"),
        ({"train": [PAIR], "test": []}, "here: test is empty"),
        ({"train": [PAIR, [1]], "test": [PAIR]}, 'here: train pair 1 has no "input"'),
        ({"train": [{"output": [[1]]}], "test": [PAIR]}, 'here: train pair 0 has no "input"'),
        ({"train": [{"input": [[1]]}], "test": [PAIR]}, 'here: train pair 0 has no "output"'),
        (
            {"train": [{"input": [[1]], "output": None}], "test": [PAIR]},
            'here: train pair 0 has no "output"',
        ),
        (
            {"train": [PAIR], "test": [{"input": [[11]]}]},
            "here: test pair 0 input: cell (row 0, column 0) is 11",
        ),
    ],
)
def test_what_is_no_task_is_named(data: Any, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        task_from_json(data, "abc", "here")
    assert said in str(caught.value)
