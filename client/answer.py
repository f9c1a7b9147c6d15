"""The answer to an ARC task as it is reported: predictions, their confidence, and the trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.arc_solver import Solution

Rows = list[list[int]]


@dataclass(frozen=True)
class Attempt:
    grid: Rows
    share: float  # its share of the votes


@dataclass(frozen=True)
class Answer:
    id: str
    attempts: list[list[Attempt]]  # one list per test input, best first
    solved: bool | None  # None: some test output is not known
    metadata: dict[str, Any]  # the trace: decision, losses, seconds, candidates of every view

    @classmethod
    def of(cls, solution: Solution) -> Answer:
        from arc.grid import to_rows

        attempts = [
            [Attempt(to_rows(grid), round(share, 4)) for grid, share in own]
            for own in solution.attempts
        ]
        return cls(solution.task.id, attempts, solution.right, solution.trace)

    @property
    def predictions(self) -> list[Rows | None]:
        """The first attempt at each test input; None where no view wrote a valid grid."""
        return [own[0].grid if own else None for own in self.attempts]

    @property
    def confidence(self) -> float:
        """The vote share, from 0 to 1, of the least certain prediction: a task is solved only if
        all of its predictions are right."""
        return min(own[0].share if own else 0.0 for own in self.attempts)

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "solved": self.solved,
            "predictions": self.predictions,
            "confidence": self.confidence,
            "attempts": [[vars(one) for one in own] for own in self.attempts],
            "trace": self.metadata,
        }


def said(answer: Answer) -> str:
    """One line: solved or not if that is known, the confidence, and how the task was adapted."""
    known = {True: "solved", False: "not solved", None: "answer unknown"}[answer.solved]
    decision = answer.metadata["decision"]
    return f"{answer.id}: {known}, {answer.confidence:.0%} sure ({decision})"
