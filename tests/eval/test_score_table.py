"""Scores of evaluations that are done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from arc.generators import FAMILIES, sample_task
from arc.task import Task, task_to_json
from eval.results_file import read_results
from eval.score_table import by_size, main, with_sizes
from hone.errors import BadInput, Damaged, NotThere


def row(
    name: str, *, base: bool | None, solved: bool | None, leaked: bool = False
) -> dict[str, Any]:
    places = {"base": ["known#1"]} if leaked else {}
    return {"id": name, "solved": solved, "base": {"solved": base}, "leaked": places}


def evaluation(folder: Path, tasks: list[Task], rows: list[dict[str, Any]]) -> Path:
    data = folder / "tasks_read"
    data.mkdir(parents=True)
    for task in tasks:
        (data / f"{task.id}.json").write_text(json.dumps(task_to_json(task)))
    results = {
        "tasks": rows,
        "settings": {"data_dir": str(data)},
        "summary": {"seconds_per_task": 1.5},
    }
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def test_a_line_for_each_run_and_for_each_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [sample_task(FAMILIES["transpose"], seed) for seed in range(4)]
    rows = [row(task.id, base=i == 0, solved=True) for i, task in enumerate(tasks)]
    run = evaluation(tmp_path / "mine", tasks, rows)
    assert main(["--runs", str(run), "--sizes", "1", "5000"]) == 0
    said = capsys.readouterr().out
    assert "| mine | 1 of 4 | 4.6% to 69.9% | 4 of 4 | 51.0% to 100.0% | 0.25 | 1.50 |" in said
    assert "| to 5,000 | 1 of 4 |" in said
    assert "to 1 |" not in said and "above" not in said


def test_runs_of_one_name_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = sample_task(FAMILIES["transpose"], 1)
    places = [tmp_path / "a" / "mini", tmp_path / "b" / "mini"]
    for place, solved in zip(places, (True, False), strict=True):
        evaluation(place, [task], [row(task.id, base=False, solved=solved)])
    assert main(["--runs", *map(str, places)]) == 0
    said = capsys.readouterr().out
    assert all(f"| {place} | 0 of 1 |" in said for place in places)


def test_tasks_of_unknown_outcome_and_those_seen_before_count_for_neither() -> None:
    sized = [(row("a", base=None, solved=None), 10), (row("b", base=False, solved=True), 20)]
    sized.append((row("c", base=True, solved=True, leaked=True), 20))
    assert list(by_size(sized, (15,)))[2:] == [
        "| to 15 | 0 of 0 | 0.0% to 100.0% | 0 of 0 | 0.0% to 100.0% | 1 |",
        "| above 15 | 0 of 1 | 0.0% to 79.3% | 1 of 1 | 20.7% to 100.0% | 1 |",
    ]


def test_what_is_no_finished_run_is_refused(tmp_path: Path) -> None:
    task = sample_task(FAMILIES["transpose"], 1)
    run = evaluation(tmp_path / "mine", [task], [row("gone", base=True, solved=True)])
    with pytest.raises(Damaged, match="task gone is not in"):
        list(with_sizes(read_results(run)))
    for content in ("[]", '{"tasks": []}'):
        (run / "results.json").write_text(content)
        with pytest.raises(
            BadInput, match="lacks results that this version writes; run the evaluation"
        ):
            main(["--runs", str(run)])
    with pytest.raises(NotThere, match=r"no file .*results\.json"):
        main(["--runs", str(tmp_path)])
    with pytest.raises(BadInput, match="no --runs"):
        main([])
