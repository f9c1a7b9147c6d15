"""What the same views think of every candidate, whichever of them it came from.

Each view is an expert: it looks at the task in its own way, and says how likely a grid is. A grid
that all of them find likely is more to be believed than one that a single view was sure of.
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

Candidates = list[list[Candidate]]  # of each question


@dataclass(frozen=True)
class _Judging:
    """One expert of one question, and all that it is asked about."""

    slot: int  # of the question, and of its adapter
    expert: View
    answers: list[list[int]]  # the question's grids, as this view would write them


def judged(
    questions: Sequence[Question],
    candidates: Candidates,
    base: Base,
    bank: AdapterBank | None,
    bounds: Bounds,
) -> Candidates:
    """The candidates with their questions' experts' log-probabilities."""
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
    """All of the question's experts that can read every grid: they are the same for all."""
    asked = []
    for expert in question.experts:
        answers = [base.format.answer(expert.look.grid(grid)) for grid in grids[slot].values()]
        if len(expert.prompt) + max(map(len, answers), default=0) <= base.context:
            asked.append(_Judging(slot, expert, answers))
    return asked


def _with_experts(one: Candidate, opinions: dict[str, list[float]]) -> Candidate:
    return one if one.grid is None else replace(one, experts=tuple(opinions[spell(one.grid)]))
