"""What answers come to, who is before whom, and how it is told."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from tiny_bases import small_task

from arc.pseudo import leave_one_out
from arc.scoring import wilson
from client.settings import Settings
from eval.judged import Judged, as_csv, judge, last_of_each, markdown, ranked

SETTINGS = Settings(learning_rate=1e-3, lora_rank=8, num_pseudo=40, steps=5, batch_size=4)


def judged(candidate: int, rung: int, solved: int, **more: Any) -> Judged:
    own = {"learning_rate": 1e-3, "rank": 8, "items": 40, "epochs": 0.5, "right_cells": 0.5}
    own |= {"questions": 10 * rung, "seconds": 1.0} | more
    return Judged(candidate=candidate, rung=rung, solved=solved, **own)


def row(grid: str | None, solved: bool, seconds: float = 1.0) -> dict[str, Any]:
    attempts = [] if grid is None else [{"grid": grid, "share": 1.0}]
    trace = {"seconds": {"train": seconds, "generate": 0.5}}
    return {"solved": solved, "attempts": [attempts], "trace": trace}


def test_cells_count_where_shapes_are_right() -> None:
    asked = leave_one_out(small_task("a", 3))
    found = judge(2, 1, SETTINGS, asked, [row("3", True), row("33", False, 4.0), row(None, False)])
    assert (found.candidate, found.questions, found.solved) == (2, 3, 1)
    assert (found.right_cells, found.seconds) == (round(1 / 3, 4), 2.5)
    assert (found.learning_rate, found.rank, found.items, found.epochs) == (1e-3, 8, 40, 0.5)


def test_more_solved_then_more_cells_then_less_training() -> None:
    worse = [
        judged(0, 1, 5, items=900),
        judged(1, 1, 4, right_cells=0.9),
        judged(2, 1, 4, items=20),
        judged(3, 1, 4, rank=4, seconds=9.0),
        judged(4, 1, 4),
    ]
    assert ranked(worse[::-1]) == worse


def test_who_came_further_stands_above() -> None:
    rows = [judged(0, 1, 5), judged(1, 1, 9), judged(2, 1, 6), judged(0, 2, 7), judged(2, 2, 8)]
    assert [one.candidate for one in last_of_each(rows)] == [2, 0, 1]
    lines = markdown(rows).splitlines()
    low, high = wilson(7, 20)
    assert len(lines) == 5 and lines[2].endswith("|  |") and lines[3].endswith("| as given |")
    assert f"| 7 of 20 | {low:.1%} to {high:.1%} | 50.0% | 1.00 |" in lines[3]


def test_the_csv_has_a_line_for_each_candidate_and_rung() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv([judged(0, 1, 5), judged(0, 2, 8)]))))
    assert [(row["rung"], row["solved"], row["rate"]) for row in rows] == [
        *(("1", "5", "0.5"), ("2", "8", "0.4"))
    ]
    assert float(rows[0]["low"]) == pytest.approx(wilson(5, 10)[0], abs=1e-4)
    assert all(None not in row.values() for row in rows)
