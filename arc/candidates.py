"""Candidates: the grids that were written for a test input, each with what speaks for it.

told = tell(candidates)          # as a trace keeps it
candidates = hear(told)          # to vote again
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp
from typing import Any

from arc.grid import Grid, spell, unspell


@dataclass(frozen=True, eq=False)
class Candidate:
    """What one view wrote, turned back."""

    grid: Grid | None  # None where it was no grid
    view: str = "identity"  # the augmentation's name
    log_probability: float | None = None  # of all that was written, where known
    way: str = "greedy"  # in which it was written: greedy, sample, search
    part: float = 1.0  # of its view's vote, where the view wrote more than one
    experts: tuple[float, ...] = ()  # its log-probability under each of the same views for all

    @property
    def symmetry(self) -> str:
        """How its view turned the task, whatever became of colours and order."""
        turns = [word for word in self.view.split("+") if ":" not in word]
        return "+".join(turns) or "identity"


def of_one_view(written: Iterable[Candidate]) -> list[Candidate]:
    """Each grid once, as it was written first; they divide their view's vote as probabilities."""
    unlike: dict[str | None, Candidate] = {}
    for one in written:
        unlike.setdefault(None if one.grid is None else spell(one.grid), one)
    known = [one.log_probability or 0.0 for one in unlike.values()]
    weights = [exp(own - max(known)) for own in known]
    return [
        replace(one, part=weight / sum(weights))
        for one, weight in zip(unlike.values(), weights, strict=True)
    ]


def tell(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    return [
        {
            "view": one.view,
            "grid": None if one.grid is None else spell(one.grid),
            "log_probability": one.log_probability,
            "way": one.way,
            "part": one.part,
            "experts": list(one.experts),
        }
        for one in candidates
    ]


def hear(told: Sequence[Mapping[str, Any]]) -> list[Candidate]:
    """Also from traces that say less of each."""
    return [
        Candidate(
            None if one["grid"] is None else unspell(one["grid"]),
            one["view"],
            one.get("log_probability"),
            one.get("way", "greedy"),
            one.get("part", 1.0),
            tuple(one.get("experts", ())),
        )
        for one in told
    ]
