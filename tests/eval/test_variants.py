"""Comparisons of the same tasks: strict beside cohort, and with retrieved tasks beside without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_bases import small_task, write_tasks

from arc.scoring import mcnemar
from eval import modes, retrieval
from eval.retrieval import by_nearness, nearest
from eval.variants import compared, rate_cells
from hone.errors import BadInput

torch.set_num_threads(1)


def row(solved: bool | None, *scores: float, withheld: tuple[float, ...] = ()) -> dict[str, Any]:
    near = [{"score": score} for score in scores]
    told = [{"score": score, "withheld": True} for score in withheld]
    trace = {"seconds": {}, "retrieved": [*near, *told]}
    return {"solved": solved, "leaked": {}, "trace": trace}


def flags(canvas_base: Path, tmp_path: Path, **more: Any) -> list[str]:
    tasks = [small_task(f"t{c}", c, demos=2 + c % 2) for c in (1, 2, 3)]
    given = {
        **{"data_dir": write_tasks(tmp_path / "data", tasks), "model_path": canvas_base},
        **{"out_dir": tmp_path / "out", "k": 2, "steps": 2, "batch_size": 2, "lora_rank": 4},
        **{"num_pseudo": 3, "num_ttt_samples": 0, "views": 1, "preset": "ct3", **more},
    }
    return [f"--{name}={value}" for name, value in given.items()]


def test_what_is_compared_is_paired() -> None:
    first = [row(True), row(True), row(False), row(False), row(None)]
    rows = [row(True), row(False), row(True), row(True), row(None)]
    found = compared(rows, first)
    assert (found["tasks"], found["unknown"], found["solved"]) == (5, 1, 3)
    assert (found["won"], found["lost"], found["difference"]) == (2, 1, 0.25)
    sides = [True, True, False, False], [True, False, True, True]
    # by hand: 1 of 6 is the middle, and 1.96 deviations of it are 0.6396
    assert found["difference_ci95"] == [-0.4729, 0.8062]
    assert found["p_mcnemar"] == mcnemar(*sides)


def test_tasks_that_were_seen_before_do_not_count() -> None:
    seen = row(True) | {"leaked": {"knowledge base": ["test 0"]}}
    found = compared([row(True), seen, row(None)], [row(False), row(False), row(None)])
    assert (found["tasks"], found["leaked"], found["unknown"]) == (3, 1, 1)
    assert (found["solved"], found["won"], found["difference"]) == (1, 1, 1.0)
    assert rate_cells(found).startswith("1 of 1 | ")


def test_tasks_are_told_apart_by_their_nearest_neighbour() -> None:
    rows = [row(True, 0.5, 0.9), row(False, 0.2), row(True, 0.4, withheld=(1.0,)), row(True)]
    without = [row(False), row(True), row(True), row(False)]
    assert [nearest(one) for one in rows] == [0.9, 0.2, 0.4, None]
    told = by_nearness(rows, without, bins=3)
    assert [(one["tasks_of"], one["won"], one["lost"]) for one in told] == [
        ("all", 2, 1),
        ("nearest 0.20 to 0.20", 0, 1),
        ("nearest 0.40 to 0.40", 0, 0),
        ("nearest 0.90 to 0.90", 1, 0),
    ]
    assert len(by_nearness(rows, without, bins=9)) == 1 + 3


def test_both_modes_are_run_once_and_told_side_by_side(
    canvas_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"cohort_dir": tmp_path / "shared", "cohort_items": 2, "cohort_batch_size": 2}
    told = []
    for _ in range(2):
        assert modes.main(flags(canvas_base, tmp_path, **more)) == 0
        *lines, last = capsys.readouterr().out.splitlines()
        told.append(json.loads(last))
        assert len(lines) == 2 + 2 and lines[2].startswith("| strict | ")
    assert told[0] == told[1]  # the seconds too: nothing was trained again
    strict, cohort = told[0]["rows"]
    assert strict["shared_s"] == 0 < cohort["shared_s"]
    assert strict["difference"] == strict["won"] == strict["lost"] == 0
    assert [path.name for path in (tmp_path / "shared").iterdir()] == [told[0]["shared"]]
    assert len(list((tmp_path / "out" / "tasks").iterdir())) == 6
    assert json.loads((tmp_path / "out" / "modes.json").read_text()) == told[0]


def test_retrieval_is_compared_by_weight_and_by_nearness(
    canvas_base: Path, task_kb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"knowledge_base_path": task_kb, "num_ttt_samples": 2, "bins": 2}
    argv = flags(canvas_base, tmp_path, **more)
    assert retrieval.main([*argv, "--weights", "0.5", "1"]) == 0
    said = capsys.readouterr()
    assert "note: seen before, so not scored: t" in said.err  # up to colours they are known
    *lines, last = said.out.splitlines()
    measured = json.loads(last)
    assert all(row["leaked"] == row["tasks"] for row in measured["rows"])
    names = [row["samples"] for row in measured["rows"]]
    assert names == ["off", *["weight 0.5"] * 3, *["weight 1"] * 3] and len(lines) == 2 + 7
    assert measured["rows"][1]["tasks_of"] == "all"
    assert sum(row["tasks"] for row in measured["rows"][2:4]) == 3
    assert len(list((tmp_path / "out" / "tasks").iterdir())) == 9
    assert json.loads((tmp_path / "out" / "retrieval.json").read_text()) == measured


def test_what_cannot_be_compared_is_said_before_anything_is_trained(
    canvas_base: Path, tmp_path: Path
) -> None:
    argv = flags(canvas_base, tmp_path)
    with pytest.raises(BadInput, match="--num_ttt_samples is 0, so nothing would be retrieved"):
        retrieval.main(argv)
    with pytest.raises(BadInput, match="nowhere to retrieve from; give --knowledge_base_path"):
        retrieval.main([*argv, "--num_ttt_samples", "2"])
    for command in (retrieval, modes):
        with pytest.raises(BadInput, match="leave --local_adapter_managing out"):
            command.main([*argv, "--local_adapter_managing"])
    with pytest.raises(BadInput, match="no --data_dir; name a folder of ARC tasks"):
        modes.main([])
    assert not (tmp_path / "out").exists()
