"""Scores every candidate under several views of the task, whichever view wrote it.

Each view is an expert: it sees the task under its own augmentation, and gives the log-probability
of a grid. A grid that all views find likely is more credible than one that a single view is sure
of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from arc.candidates import Candidate
from arc.grid import Grid, spell
from client.question import Question, View

if TYPE_CHECKING:
    from models.base import Base
    from models.decoding.write import Bounds
    from models.multilora.bank import AdapterBank

Candidates = list[list[Candidate]]  # one list per question


@dataclass(frozen=True)
class _Judging:
    """One expert of one question, and the answers that it scores."""

    slot: int  # index of the question, and of its adapter's slot
    expert: View
    answers: list[list[int]]  # tokens of the question's grids under this view


def judged(
    questions: Sequence[Question],
    candidates: Candidates,
    base: Base,
    bank: AdapterBank | None,
    bounds: Bounds,
) -> Candidates:
    """The candidates, completed by the experts' log-probabilities of their grids."""
    from models.decoding.score import score

    grids = [_unlike(own) for own in candidates]
    asked = [
        one
        for slot, question in enumerate(questions)
        for one in _asked(slot, question, grids, base)
    ]
    read = score(
        base.model,
        base.format,
        [one.expert.prompt for one in asked],
        [one.answers for one in asked],
        slots=[one.slot for one in asked],
        bank=bank,
        bounds=bounds,
    )
    said: list[dict[str, list[float]]] = [{name: [] for name in own} for own in grids]
    for one, answers in zip(asked, read, strict=True):
        for name, tokens in zip(grids[one.slot], answers, strict=True):
            said[one.slot][name].append(round(sum(tokens), 3))
    return [
        [_with_experts(one, opinions) for one in own]
        for own, opinions in zip(candidates, said, strict=True)
    ]


def _unlike(candidates: Sequence[Candidate]) -> dict[str, Grid]:
    return {spell(one.grid): one.grid for one in candidates if one.grid is not None}


def _asked(
    slot: int, question: Question, grids: Sequence[dict[str, Grid]], base: Base
) -> list[_Judging]:
    """The question's experts whose context holds every grid, so that all grids of a question are
    scored by the same experts."""
    asked = []
    for expert in question.experts:
        answers = [base.format.answer(expert.look.grid(grid)) for grid in grids[slot].values()]
        if len(expert.prompt) + max(map(len, answers), default=0) <= base.context:
            asked.append(_Judging(slot, expert, answers))
    return asked


def _with_experts(one: Candidate, opinions: dict[str, list[float]]) -> Candidate:
    return one if one.grid is None else replace(one, experts=tuple(opinions[spell(one.grid)]))
