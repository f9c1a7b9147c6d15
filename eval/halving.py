"""Successive halving: many candidates answer few questions, then the better ones answer more.

    rungs(27, questions=200, first=8, keep=3)   # 27 on 8 questions, 9 on 24, 3 on 72, 1 on 200

Candidates are settings that differ in learning rate, rank, items and epochs. Questions are made
from demos only: each demo is held out in turn, and asked with the task's other demos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product, zip_longest
from math import ceil
from random import Random
from typing import TYPE_CHECKING

from client.settings import Settings
from eval.variants import varied

if TYPE_CHECKING:
    from arc.task import Task

DEMOS = 3  # at least: one is the question; two more, since training items hold one out, too


@dataclass(frozen=True)
class Rung:
    candidates: int
    questions: int


def rungs(candidates: int, questions: int, first: int, keep: int) -> list[Rung]:
    """The rungs: one candidate in `keep` stays, for `keep` times the questions, until one is left
    or all questions are asked."""
    found = [Rung(candidates, min(first, questions))]
    while found[-1].candidates > 1 and found[-1].questions < questions:
        above = found[-1]
        fewer = max(1, above.candidates // keep)
        found.append(Rung(fewer, min(keep * above.questions, questions)))
    return found


def candidates(
    given: Settings,
    learning_rates: Sequence[float],
    ranks: Sequence[int],
    items: Sequence[int],
    epochs: Sequence[int],
    *,
    most: int = 0,
) -> list[Settings]:
    """The given settings, then all combinations that train differently from them; with `most`, that
    many in all, chosen at random by the seed."""
    combined = [
        varied(
            given, learning_rate=rate, lora_rank=rank, num_pseudo=many, num_epochs=times, steps=0
        )
        for rate, rank, many, times in product(learning_rates, ranks, items, epochs)
    ]
    others = [one for one in combined if _training(one) != _training(given)]
    if most and most <= len(others):
        others = Random(given.seed).sample(others, most - 1)
    return [varied(given), *others]


def epochs_of(settings: Settings) -> float:
    """The number of epochs, also if the settings give a number of steps."""
    if not settings.steps:
        return settings.num_epochs
    return settings.steps * settings.batch_size / settings.num_pseudo


def questions_of(tasks: Sequence[Task]) -> list[Task]:
    """Questions from demos: one of each task, then a second one of each, and so on, so that any
    first part of them covers as many tasks as possible."""
    from arc.pseudo import leave_one_out

    asking = [leave_one_out(task.without_answers()) for task in tasks if len(task.train) >= DEMOS]
    return [one for turn in zip_longest(*asking) for one in turn if one is not None]


def _training(settings: Settings) -> tuple[float, int, int, int]:
    """The values by which candidates are compared: equal ones train in the same way."""
    epochs = settings.num_epochs * ceil(settings.num_pseudo / settings.batch_size)
    steps = settings.steps or epochs
    return settings.learning_rate, settings.lora_rank, settings.num_pseudo, steps
