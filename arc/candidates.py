"""Candidates: the grids that were written for a test input, each with the evidence for it.

told = tell(candidates)          # as a trace keeps them
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
    """What was written under one view, with the grid turned back."""

    grid: Grid | None  # None where what was written is not a grid
    view: str = "identity"  # the name of its augmentation
    log_probability: float | None = None  # of everything written, where known
    way: str = "greedy"  # how it was written: greedy, sample, search
    part: float = 1.0  # share of its view's vote, which a view's candidates divide
    experts: tuple[float, ...] = ()  # its log-probability under views that are the same for all

    @property
    def symmetry(self) -> str:
        """How its view turned the task, leaving colours and the order of demos aside."""
        turns = [word for word in self.view.split("+") if ":" not in word]
        return "+".join(turns) or "identity"


def of_one_view(written: Iterable[Candidate]) -> list[Candidate]:
    """Each different grid once, as first written; they divide the vote by their probabilities."""
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
    """The candidates that were told; fields that old traces lack get their defaults."""
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
