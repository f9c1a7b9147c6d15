"""What is told of an answered task: predictions, how sure they are, and how they came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.arc_solver import Solution

Rows = list[list[int]]


@dataclass(frozen=True)
class Attempt:
    grid: Rows
    share: float  # of the votes


@dataclass(frozen=True)
class Answer:
    id: str
    attempts: list[list[Attempt]]  # a list a test input, best first
    solved: bool | None  # None: a test output is not known
    metadata: dict[str, Any]  # the trace: decision, losses, seconds, what every view wrote

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
        """The first attempt at each test input; None where no view wrote a grid."""
        return [own[0].grid if own else None for own in self.attempts]

    @property
    def confidence(self) -> float:
        """From 0 to 1, of the prediction that is least sure: a task takes all of them."""
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
    """In a line: solved or not where that is known, how sure, and how it was adapted."""
    known = {True: "solved", False: "not solved", None: "answer unknown"}[answer.solved]
    decision = answer.metadata["decision"]
    return f"{answer.id}: {known}, {answer.confidence:.0%} sure ({decision})"
