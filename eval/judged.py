"""The results of a candidate in one rung of a tuning, and their tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from client.settings import Settings
from eval.halving import epochs_of
from eval.variants import Row

if TYPE_CHECKING:
    from arc.task import Task

GIVEN = 0  # number of the candidate with the given settings
SETTINGS = {
    "learning_rate": "learning rate",
    "rank": "rank",
    "items": "items",
    "epochs": "epochs",
}


@dataclass(frozen=True)
class Judged:
    """The results of a candidate on the questions of a rung."""

    candidate: int
    rung: int  # from 1
    learning_rate: float
    rank: int
    items: int
    epochs: float
    questions: int
    solved: int
    # mean share in first attempts; decides between candidates that solve as many
    right_cells: float
    seconds: float  # per question

    @property
    def rate(self) -> float:
        return self.solved / self.questions

    @property
    def ci95(self) -> tuple[float, float]:
        from arc.scoring import wilson

        return wilson(self.solved, self.questions)

    def __str__(self) -> str:
        trained = f"rate {self.learning_rate:g}, rank {self.rank}, {self.items} items"
        return f"{trained}, epochs {self.epochs:g}: {self.solved} of {self.questions} solved"


def judge(
    number: int, rung: int, settings: Settings, questions: Sequence[Task], rows: Sequence[Row]
) -> Judged:
    seconds = [sum(row["trace"]["seconds"].values()) for row in rows]
    cells = [_right_cells(row, asked) for row, asked in zip(rows, questions, strict=True)]
    return Judged(
        candidate=number,
        rung=rung,
        learning_rate=settings.learning_rate,
        rank=settings.lora_rank,
        items=settings.num_pseudo,
        epochs=round(epochs_of(settings), 2),
        questions=len(rows),
        solved=sum(bool(row["solved"]) for row in rows),
        right_cells=round(sum(cells) / len(cells), 4),
        seconds=round(sum(seconds) / len(rows), 3),
    )


def ranked(judged: Sequence[Judged]) -> list[Judged]:
    """Best first: by questions solved; then by right cells, which also rank bases that solve
    nothing yet; then by how little is trained. Seconds are not used, since they vary by chance."""
    return sorted(
        judged, key=lambda one: (-one.solved, -one.right_cells, one.items * one.epochs, one.rank)
    )


def last_of_each(judged: Sequence[Judged]) -> list[Judged]:
    """Each candidate's results in its last rung; later rungs first, then better ones."""
    last = {one.candidate: one for one in sorted(judged, key=lambda one: one.rung)}
    return sorted(ranked(list(last.values())), key=lambda one: -one.rung)


def markdown(judged: Sequence[Judged]) -> str:
    lines = [
        f"| {' | '.join(SETTINGS.values())} | solved | 95 % | right cells | s a question | |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for one in last_of_each(judged):
        low, high = one.ci95
        lines.append(
            f"| {one.learning_rate:g} | {one.rank} | {one.items} | {one.epochs:g}"
            f" | {one.solved} of {one.questions} | {low:.1%} to {high:.1%}"
            f" | {one.right_cells:.1%} | {one.seconds:.2f}"
            f" | {'as given' if one.candidate == GIVEN else ''} |"
        )
    return "\n".join(lines)


def as_csv(judged: Sequence[Judged]) -> str:
    """CSV with a line for each candidate and rung."""
    rows: list[dict[str, Any]] = []
    for one in judged:
        low, high = (round(end, 4) for end in one.ci95)
        rows.append({**asdict(one), "rate": round(one.rate, 4), "low": low, "high": high})
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _right_cells(row: Row, asked: Task) -> float:
    """The share of right cells in the first attempt; 0 if its shape is wrong."""
    from arc.grid import unspell

    (attempts,), answer = row["attempts"], asked.test[0].output
    if not attempts or answer is None:
        return 0.0
    grid = unspell(attempts[0]["grid"])
    return float((grid == answer).mean()) if grid.shape == answer.shape else 0.0
