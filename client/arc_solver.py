"""The way of a query for ARC: tasks in, attempts with their votes and a trace out.

    solver = ArcSolver(open_adaptation(settings, "arc"))
    before = solver.solve(tasks, adapt=False)
    after = solver.solve(tasks, adapt=True)

Both ways write the answer under the same views with the same decoding; adaptation alone differs.
A task's attempts do not depend on which others are trained or answered beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from arc.grid import Grid, spell
from arc.scoring import right_outputs
from arc.task import Task
from arc.voting import Candidate, vote
from client.adaptation import Adaptation, Adapted, Items, timed
from client.arc_items import longest_answer, training_items, view_prompts, views
from client.cohort import stand_on_shared
from client.layout import groups

if TYPE_CHECKING:
    from arc.augment import Augmentation
    from arc.formats import Encoded
    from client.jobs import Job
    from kb.wire import Hit
    from models.multilora.peft_files import AdapterFiles

Attempts = list[tuple[Grid, float]]  # each with its share of the votes
_Candidates = dict[tuple[int, int], list[Candidate]]  # task and test input -> one a view


@dataclass
class Solution:
    task: Task
    attempts: list[Attempts]  # one list a test input, best first
    trace: dict[str, Any] = field(default_factory=dict)

    @property
    def right(self) -> bool | None:
        """Whether every test output is among its attempts; None where one is not known."""
        if any(pair.output is None for pair in self.task.test):
            return None
        grids = [[grid for grid, _ in own] for own in self.attempts]
        return all(right_outputs(self.task, grids))


@dataclass(frozen=True)
class _Question:
    """One test input of one task, under its views."""

    task: int
    test: int
    looks: list[Augmentation]  # the views that leave room to answer within the context
    prompts: list[Encoded]  # one a view
    rooms: list[int]  # tokens that the answer may take, one a view
    too_long: int  # views that leave no room


class ArcSolver:
    def __init__(self, adaptation: Adaptation) -> None:
        self.adaptation = adaptation
        self.base, self.settings = adaptation.base, adaptation.settings

    def solve(self, tasks: Sequence[Task], *, adapt: bool) -> list[Solution]:
        """All tasks, in their order; in cohort mode they are the cohort."""
        if adapt:
            stand_on_shared(self.adaptation, tasks)
        solved = dict(one for group in self.solve_groups(tasks, adapt=adapt) for one in group)
        return [solved[i] for i in range(len(tasks))]

    def solve_groups(
        self, tasks: Sequence[Task], *, adapt: bool
    ) -> Iterator[list[tuple[int, Solution]]]:
        """Indices and solutions as they come: K tasks are answered together, between two steps of
        the training of the others, once their adapters are there."""
        done = 0
        as_it_is = ((i, Adapted.as_it_is()) for i in range(len(tasks)))
        for group in groups(self.adapted(tasks) if adapt else as_it_is, lambda: self.adaptation.k):
            solutions = self._answer([tasks[i] for i, _ in group], [one for _, one in group])
            done += len(group)
            self.adaptation.progress("tasks", done, len(tasks))
            yield [(i, solution) for (i, _), solution in zip(group, solutions, strict=True)]

    def adapted(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Adapted]]:
        """Indices and adapters as they come."""
        # an adapter that is kept serves the tasks of later calls: where that is asked for, K a call
        window = (lambda: self.adaptation.k) if self.adaptation.store else (lambda: len(tasks))
        for group in groups(enumerate(tasks), window):
            places, own = zip(*group, strict=True)
            adapted = self.adaptation.adapt_each(own, partial(self._items, own))
            yield from ((places[i], one) for i, one in adapted)

    def plan(self, tasks: Sequence[Task]) -> list[tuple[Adapted, Job | None]]:
        """What each would be trained on."""
        return self.adaptation.plan(tasks, partial(self._items, tasks))

    def _items(self, tasks: Sequence[Task], i: int, hits: list[Hit]) -> Items:
        return training_items(tasks[i], hits, self.base.format, self.base.context, self.settings)

    def _answer(self, tasks: list[Task], adapted: list[Adapted]) -> list[Solution]:
        questions = [
            self._question(i, j, task)
            for i, task in enumerate(tasks)
            for j in range(len(task.test))
        ]
        solutions = [
            Solution(task, [], one.trace) for task, one in zip(tasks, adapted, strict=True)
        ]
        with timed() as writing:
            asked = [question for question in questions if question.prompts]
            written = self._write(asked, adapted)
        for question in questions:
            candidates = written.get((question.task, question.test), [])
            solution = solutions[question.task]
            solution.attempts.append(vote(candidates, self.settings.attempts, self.settings.voting))
            solution.trace.setdefault("views", []).append([_spelled(one) for one in candidates])
            solution.trace.setdefault("views_too_long", []).append(question.too_long)
        for solution in solutions:
            solution.trace["seconds"]["generate"] = writing.seconds / len(tasks)
        return solutions

    def _question(self, i: int, j: int, task: Task) -> _Question:
        alone = task.with_test(j)
        form, context = self.base.format, self.base.context
        looks = views(alone, self.settings.views, self.settings.seed)
        prompts = view_prompts(alone, looks, form, context)
        fitting = [(a, p) for a, p in zip(looks, prompts, strict=True) if p is not None]
        enough = longest_answer(alone, form)
        return _Question(
            i,
            j,
            looks=[look for look, _ in fitting],
            prompts=[prompt for _, prompt in fitting],
            rooms=[min(enough, context - len(prompt)) for _, prompt in fitting],
            too_long=len(looks) - len(fitting),
        )

    def _write(self, questions: list[_Question], adapted: list[Adapted]) -> _Candidates:
        """Candidates per question: with its task's adapter where there is one, else the base."""
        candidates: _Candidates = {}
        with_adapter = [q for q in questions if adapted[q.task].adapter is not None]
        without = [q for q in questions if adapted[q.task].adapter is None]
        for chosen in (with_adapter, without):
            if chosen:
                own = [adapted[question.task].adapter for question in chosen]
                candidates |= self._decode(chosen, [one for one in own if one is not None])
        return candidates

    def _decode(self, questions: list[_Question], adapters: list[AdapterFiles]) -> _Candidates:
        from models.decoding.write import decode_slots
        from models.multilora.bank import bank_of

        prompts = [question.prompts for question in questions]
        rooms = [question.rooms for question in questions]
        with bank_of(self.base.model, adapters) as bank:
            rows = decode_slots(
                self.base.model,
                self.base.format,
                prompts,
                rooms,
                bank=bank,
                bounds=self.adaptation.layout.bounds,
            )
        return {
            (question.task, question.test): [
                _candidate(self.base.format.parse(row.tokens), look, row.log_probability)
                for row, look in zip(own, question.looks, strict=True)
            ]
            for question, own in zip(questions, rows, strict=True)
        }


def _candidate(cells: Grid | None, look: Augmentation, log_probability: float) -> Candidate:
    grid = None if cells is None else look.invert(cells)
    return Candidate(grid, look.name, round(log_probability, 3))  # as the trace will tell it


def _spelled(candidate: Candidate) -> dict[str, str | float | None]:
    return {
        "view": candidate.view,
        "grid": None if candidate.grid is None else spell(candidate.grid),
        "log_probability": candidate.log_probability,
    }
