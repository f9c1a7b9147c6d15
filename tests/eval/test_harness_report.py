"""Intervals and differences: what chance alone would do, and what the table says of it."""

from __future__ import annotations

import pytest

from arc.scoring import wilson
from eval.harness.intervals import mean_interval, paired_interval
from eval.harness.report import summarize, table


def test_right_and_wrong_have_the_interval_of_a_rate() -> None:
    assert mean_interval([1.0, 0.0, 1.0, 1.0]) == wilson(3, 4)


def test_shares_have_one_around_their_mean_that_narrows() -> None:
    few, many = mean_interval([0.5, 0.25, 1.0, 0.75]), mean_interval([0.5, 0.25, 1.0, 0.75] * 50)
    assert few[0] < many[0] < 0.625 < many[1] < few[1]
    assert mean_interval([0.5, 0.25, 1.0, 0.75]) == few, "the same every time"
    assert mean_interval([0.5]) == (0.5, 0.5) and mean_interval([]) == wilson(0, 0)


def test_what_both_get_right_does_not_widen_a_difference() -> None:
    same = [1.0] * 80
    ours, theirs = [*same, *[1.0] * 15, *[0.0] * 5], [*same, *[0.0] * 15, *[0.0] * 5]
    low, high = paired_interval(ours, theirs)
    assert 0.05 < low < 0.15 < high < 0.25
    assert paired_interval(ours, ours) == (0, 0)


def test_the_table_says_what_differs_from_the_base() -> None:
    scores = {"base": {"theirs": [0.0, 0.0, 1.0]}, "ttt": {"theirs": [1.0, 0.0, 1.0]}}
    summary = summarize(scores)
    assert "difference" not in summary["base"]["theirs"]
    assert summary["ttt"]["theirs"]["difference"] == pytest.approx(1 / 3)
    base, ttt = table(summary)
    assert base.split() == ["base", "theirs", "33.33%", "(6.1%", "to", "79.2%)"]
    assert ttt.startswith("ttt") and "+33.3% to base (+0.0% to +100.0%)" in ttt
    assert "difference" not in summarize({"ttt": scores["ttt"]})["ttt"]["theirs"]
