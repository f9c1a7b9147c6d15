"""The progress of a run, with tasks per hour and the score so far.

    with RunningScore(len(tasks)) as score:
        adaptation.progress = score.phase
        score.add(row)

It is a bar on a terminal, else a line from time to time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from eval.arc_results import is_scored

EVERY = 30.0  # seconds between two lines
_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"


class RunningScore:
    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.clock = total, clock
        self.done = self.known = self.solved = self.solved_base = 0
        self.before = 0  # tasks that an earlier run has done
        self._begun: float | None = None  # when work on the other tasks began
        self._said = clock()

    def __enter__(self) -> RunningScore:
        from tqdm import tqdm

        self.bar: tqdm[Any] = tqdm(
            total=self.total, unit="task", disable=None, bar_format=_FORMAT, file=sys.stderr
        )
        return self

    def __exit__(self, *exc: object) -> None:
        self.bar.close()

    def phase(self, phase: str, done: int, total: int) -> None:
        """To be called with the solver's phase. The first call marks the end of the tasks that were
        done before."""
        if self._begun is None:
            self._begun, self.before = self.clock(), self.done
            self.bar.initial = self.before
        self.bar.set_description_str(phase)

    def add(self, row: Mapping[str, Any]) -> None:
        self.done += 1
        if is_scored(row):
            self.known += 1
            self.solved += row["solved"]
            self.solved_base += row["base"]["solved"]
        self.bar.set_postfix_str(str(self), refresh=False)
        self.bar.update()
        if self.bar.disable and self._is_due():
            self._said = self.clock()
            print(f"{self.done} of {self.total} tasks: {self}", file=sys.stderr)

    def __str__(self) -> str:
        share = f" ({self.solved / self.known:.0%})" if self.known else ""
        rate = f", {self.tasks_per_hour:,.0f} tasks/h" if self.tasks_per_hour else ""
        return f"{self.solved} of {self.known} solved{share}, base {self.solved_base}{rate}"

    @property
    def tasks_per_hour(self) -> float:
        """The rate of the tasks that this process did."""
        passed = 0.0 if self._begun is None else self.clock() - self._begun
        return 3600 * (self.done - self.before) / passed if passed > 0 else 0.0

    def _is_due(self) -> bool:
        return self.clock() - self._said >= EVERY or self.done == self.total
