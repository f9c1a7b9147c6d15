"""Solves ARC tasks: tasks go in, attempts with their vote shares and a trace come out.

    solver = ArcSolver(open_adaptation(settings, "arc"))
    before = solver.solve(tasks, adapt=False)
    after = solver.solve(tasks, adapt=True)

With and without adaptation, answers are written under the same views with the same decoding. A
task's attempts do not depend on which other tasks are trained or answered beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from arc.candidates import Candidate, tell
from arc.grid import Grid
from arc.scoring import right_outputs
from arc.task import Task
from arc.voting import vote
from client.adaptation import Adaptation, Adapted, Items, timed
from client.arc_items import own_sample, training_items
from client.candidate_writer import CandidateWriter
from client.cohort import stand_on_shared
from client.layout import groups
from client.question import Question, question_of

if TYPE_CHECKING:
    from arc.formats import Encoded
    from client.jobs import Job
    from client.kept_adapters import KeptAdapters
    from kb.wire import Hit

Attempts = list[tuple[Grid, float]]  # grids with their shares of the votes
_Candidates = dict[tuple[int, int], list[Candidate]]  # by index of the task and of the test input


@dataclass
class Solution:
    task: Task
    attempts: list[Attempts]  # one list per test input, best first
    trace: dict[str, Any] = field(default_factory=dict)

    @property
    def right(self) -> bool | None:
        """Whether every test output is among its attempts; None if one is not known."""
        if any(pair.output is None for pair in self.task.test):
            return None
        grids = [[grid for grid, _ in own] for own in self.attempts]
        return all(right_outputs(self.task, grids))


class ArcSolver:
    def __init__(self, adaptation: Adaptation, kept: KeptAdapters | None = None) -> None:
        self.adaptation, self.kept = adaptation, kept
        self.base, self.settings = adaptation.base, adaptation.settings

    def solve(self, tasks: Sequence[Task], *, adapt: bool) -> list[Solution]:
        """The solutions of all tasks, in their order. In cohort mode these tasks are the cohort."""
        if adapt:
            stand_on_shared(self.adaptation, tasks)
        solved = dict(one for group in self.solve_groups(tasks, adapt=adapt) for one in group)
        return [solved[i] for i in range(len(tasks))]

    def solve_groups(
        self, tasks: Sequence[Task], *, adapt: bool
    ) -> Iterator[list[tuple[int, Solution]]]:
        """Yields groups of up to K indices and solutions as soon as their adapters are ready. A
        group is answered between two training steps of the other tasks."""
        done = 0
        as_it_is = ((i, Adapted.as_it_is()) for i in range(len(tasks)))
        for group in groups(self.adapted(tasks) if adapt else as_it_is, lambda: self.adaptation.k):
            solutions = self._answer([tasks[i] for i, _ in group], [one for _, one in group])
            done += len(group)
            self.adaptation.progress("tasks", done, len(tasks))
            yield [(i, solution) for (i, _), solution in zip(group, solutions, strict=True)]

    def adapted(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Adapted]]:
        """Yields indices and adapters as soon as they are ready, beginning with adapters from
        earlier runs."""
        missing = []
        for i, task in enumerate(tasks):
            if self.kept and (found := self.kept.find(task)):
                yield i, found
            else:
                missing.append(i)
        # with an adapter store, K tasks at a time, so that later ones can reuse the adapters of
        # earlier ones
        window = (lambda: self.adaptation.k) if self.adaptation.store else (lambda: len(tasks))
        for group in groups(missing, window):
            own = [tasks[i] for i in group]
            sample = partial(self._own_sample, own)
            for i, one in self.adaptation.adapt_each(own, partial(self._items, own), sample):
                if self.kept:
                    self.kept.keep(own[i], one)
                yield group[i], one

    def plan(self, tasks: Sequence[Task]) -> list[tuple[Adapted, Job | None]]:
        """For each task, what was retrieved and the job that would train it; nothing is trained."""
        return self.adaptation.plan(tasks, partial(self._items, tasks))

    def _items(self, tasks: Sequence[Task], i: int, hits: list[Hit]) -> Items:
        return training_items(tasks[i], hits, self.base.format, self.base.context, self.settings)

    def _own_sample(self, tasks: Sequence[Task], i: int) -> Encoded | None:
        return own_sample(tasks[i], self.base.format, self.base.context, self.settings)

    def _answer(self, tasks: list[Task], adapted: list[Adapted]) -> list[Solution]:
        questions = [
            question_of(task, i, j, self.base.format, self.base.context, self.settings)
            for i, task in enumerate(tasks)
            for j in range(len(task.test))
        ]
        solutions = [
            Solution(task, [], one.trace) for task, one in zip(tasks, adapted, strict=True)
        ]
        with timed() as writing:
            asked = [question for question in questions if question.views]
            written = self._write(asked, adapted)
        for question in questions:
            candidates = written.get((question.task, question.test), [])
            solution = solutions[question.task]
            solution.attempts.append(vote(candidates, self.settings.attempts, self.settings.voting))
            for name, value in _told(question, candidates).items():
                solution.trace.setdefault(name, []).append(value)
        for solution in solutions:
            solution.trace["seconds"]["generate"] = writing.seconds / len(tasks)
        return solutions

    def _write(self, questions: list[Question], adapted: list[Adapted]) -> _Candidates:
        """The candidates for each question, by its task's adapter, or by the base if it has
        none."""
        writer = CandidateWriter(self.base, self.settings, self.adaptation.layout.bounds)
        candidates: _Candidates = {}
        with_adapter = [q for q in questions if adapted[q.task].adapter is not None]
        without = [q for q in questions if adapted[q.task].adapter is None]
        for chosen in filter(None, (with_adapter, without)):
            own = [adapted[question.task].adapter for question in chosen]
            written = writer.write(chosen, [one for one in own if one is not None])
            for question, found in zip(chosen, written, strict=True):
                candidates[question.task, question.test] = found
        return candidates


def _told(question: Question, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """The trace entries for one test input."""
    return {
        "views": tell(candidates),
        "views_too_long": question.too_long,
        "shapes": question.shape,
        "experts": [expert.look.name for expert in question.experts],
    }
