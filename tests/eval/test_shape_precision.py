"""The table of inferred shapes counts what it says it counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_bases import small_task, write_tasks

from arc.task import Task, task_from_json
from eval.shape_precision import main
from hone.errors import BadInput


def odd_task() -> Task:
    """Whose test output is not as large as the demos promise."""
    pair = {"input": [[1, 2]], "output": [[1, 2]]}
    asked = {"input": [[1, 2]], "output": [[1]]}
    return task_from_json({"train": [pair, pair], "test": [asked]}, "odd", "odd")


def test_rules_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_tasks(tmp_path, [small_task("a"), small_task("b", tests=2), odd_task()])
    assert main(["--data_dir", str(folder), "--show_wrong"]) == 0
    out = capsys.readouterr().out
    assert [line.split() for line in out.split("\n")[1:4]] == [
        ["times", "3", "100.0%"],
        ["same", "1", "0.0%"],
        ["any", "4", "75.0%"],
    ]
    assert "a rule was used for 100.0% of 4 outputs" in out and out.endswith("odd\n")


def test_unusable_input_is_named(tmp_path: Path) -> None:
    folder = write_tasks(tmp_path, [small_task("a").without_answers()])
    with pytest.raises(BadInput, match="has no test output to compare with"):
        main(["--data_dir", str(folder)])
    with pytest.raises(BadInput, match="no --data_dir"):
        main([])
