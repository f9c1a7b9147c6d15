"""What is handed over: Kaggle's form whatever was answered, and names that can be files."""

from __future__ import annotations

import pytest
from tiny_bases import small_task

from arc.task import Task
from client.arc_predictions import NO_ANSWER, check_names, submission


def row(name: str, *grids: list[str]) -> dict[str, object]:
    return {"id": name, "attempts": [[{"grid": g, "share": 0.5} for g in own] for own in grids]}


def test_every_test_input_gets_two_grids() -> None:
    found = submission([row("a", ["01/23", "4", "5"]), row("b", ["6"], [])])
    assert found == {
        "a": [{"attempt_1": [[0, 1], [2, 3]], "attempt_2": [[4]]}],
        "b": [
            {"attempt_1": [[6]], "attempt_2": NO_ANSWER},
            {"attempt_1": NO_ANSWER, "attempt_2": NO_ANSWER},
        ],
    }


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["a", "b", "a"], "two tasks are called 'a'; rename one"),
        (["a/b"], "the task id 'a/b' cannot be a file's name"),
        (["a\n"], "cannot be a file's name"),
    ],
)
def test_names_that_cannot_be_files_are_refused(ids: list[str], said: str) -> None:
    tasks: list[Task] = [small_task(name) for name in ids]
    with pytest.raises(ValueError, match=said):
        check_names(tasks)
