"""The numbers of a run, on rows made by hand."""

from __future__ import annotations

import pytest
from eval_rows import results, row

from arc.scoring import mcnemar, wilson
from eval.arc_results import summarize, summary_lines

SEEN = {"base": ["train 0"]}
ROWS = [
    row([True], [True]),
    row([True, True], [False, True]),
    row([True, False], [False, False]),
    row([False], [False], seconds=3.0),
    row([True], [False]),
    row(None, None),
]


def test_the_summary_counts_tasks_outputs_and_seconds() -> None:
    found = summarize(ROWS, everything_is_known=True)
    assert (found["tasks"], found["unknown"], found["solved"], found["solved_base"]) == (6, 1, 3, 1)
    assert (found["task_score"], found["task_score_base"]) == (0.6, 0.2)
    assert found["mean_output_score"] == pytest.approx((1 + 1 + 0.5 + 0 + 1) / 5)
    assert found["output_score"] == pytest.approx(5 / 7, abs=1e-4)
    assert found["ci95"] == [round(end, 4) for end in wilson(3, 5)]
    assert found["ci95_base"] == [round(end, 4) for end in wilson(1, 5)]
    assert found["p_mcnemar"] == mcnemar([True, True, False], [False, False, False]) == 0.5
    assert (found["seconds"], found["seconds_per_task"]) == (11.0, 1.83)
    assert (found["tasks_per_hour"], found["peak_memory_mb"]) == (1963.6, 500)


def test_what_was_seen_before_is_listed_and_not_scored() -> None:
    leaked = [row([True], [True], name="seen", leaked=SEEN), row(None, None, leaked=SEEN)]
    clean, whole = (summarize(rows, everything_is_known=True) for rows in (ROWS, ROWS + leaked))
    assert (whole["leaked"], clean["leaked"]) == (["seen", "t"], [])
    for name in ("solved", "task_score", "output_score", "ci95", "p_mcnemar", "unknown"):
        assert whole[name] == clean[name]
    assert whole["tasks"] == 8
    assert summarize(ROWS, everything_is_known=False)["leaked"] == "unknown"
    assert summarize(leaked, everything_is_known=False)["leaked"] == ["seen", "t"]


def test_nothing_known_is_not_a_division_by_zero() -> None:
    found = summarize([row(None, None)], everything_is_known=True)
    assert (found["unknown"], found["solved"], found["task_score"]) == (1, 0, 0.0)


def test_nothing_scored_is_no_rate() -> None:
    assert list(summary_lines(results([row(None, None)]))) == [
        "no task could be scored; 1.50 s a task with TTT, 2,400 tasks an hour",
        "answered but not scored, because outputs are unknown: 1 task",
    ]


def test_a_task_that_no_view_could_ask_is_told() -> None:
    rows = [row([False], [False], grids=(), views_too_long=[8]), row([False], [False], grids=())]
    said = list(summary_lines(results(rows)))
    assert said[3:] == ["too long for the base, so no answer was written: 1 task"]


def test_the_lines_say_what_the_score_leaves_out() -> None:
    rows = [*ROWS, row([True], [True], name="seen", leaked=SEEN)]
    unknown = {"pairs": "unknown", "said": "it has no record"}
    said = list(summary_lines(results(rows, left_out=["x.json is"], leakage={"base": unknown})))
    assert said[0] == "base     1 of 5   20.0%  (95 %: 3.6% to 62.5%)"
    assert said[1].startswith("TTT      3 of 5   60.0%") and "tasks an hour" in said[2]
    assert said[3:] == [
        "answered but not scored, because outputs are unknown: 1 task",
        "seen before, so not scored: 1 task (seen)",
        "whether the base has seen these tasks is unknown: it has no record",
        "left out: x.json is",
    ]
