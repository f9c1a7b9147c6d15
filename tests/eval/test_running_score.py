"""Progress: the score so far, and a rate that earlier runs do not flatter."""

from __future__ import annotations

import pytest
from eval_rows import row

from eval.running_score import EVERY, RunningScore


def test_the_rate_is_that_of_what_this_run_did() -> None:
    now = [0.0]
    score = RunningScore(5, clock=lambda: now[0])
    with score:
        score.add(row([True], [False]))
        score.add(row(None, None))
        assert score.tasks_per_hour == 0 and str(score) == "1 of 1 solved (100%), base 0"
        now[0] = 100.0
        score.phase("training", 0, 10)
        now[0] = 136.0
        score.phase("tasks", 1, 3)
        score.add(row([False], [False]))
        assert (score.before, score.tasks_per_hour) == (2, 100.0)
        assert str(score) == "1 of 2 solved (50%), base 0, 100 tasks/h"


def test_tasks_that_were_seen_before_count_for_nobody() -> None:
    with RunningScore(2) as score:
        score.add(row([True], [True], leaked={"base": ["train 0"]}))
        score.add(row([False], [True]))
    assert (score.done, str(score)) == (2, "0 of 1 solved (0%), base 1")


def test_without_a_terminal_there_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    with RunningScore(4, clock=lambda: now[0]) as score:
        score.phase("training", 0, 10)
        for passed in (1.0, EVERY, 1.0, 1.0):
            now[0] += passed
            score.add(row([True], [True]))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["2 of 4 tasks", "4 of 4 tasks"]
    assert "2 of 2 solved (100%), base 2, " in lines[0] and lines[0].endswith(" tasks/h")
