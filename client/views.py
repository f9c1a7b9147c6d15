"""The views under which a task is asked, their prompts, and the longest answer to allow for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from random import Random

import numpy as np

from arc.augment import IDENTITY, Augmentation, random_augmentation, symmetry
from arc.formats import ArcFormat, Encoded
from arc.grid import MAX_SIDE, frozen
from arc.pseudo import without_demos
from arc.steps import SYMMETRIES, Step
from arc.task import Task
from client.settings import VIEW_CHANGES
from client.task_seed import seed_of


def views(
    task: Task, count: int, seed: int, changes: Sequence[str] = VIEW_CHANGES
) -> list[Augmentation]:
    """Up to `count` different views: the task unchanged, then its other symmetries, then symmetries
    again, each with a permutation of colours and demos of its own. `changes` limits what may
    differ, so there may be fewer."""
    rng = Random(seed_of(task, seed))
    chosen = [IDENTITY]
    for i in range(1, count):
        turn = symmetry(SYMMETRIES[i % len(SYMMETRIES)])
        # the random part brings colours and an order of demos; its own turn is dropped
        rest = random_augmentation(rng, len(task.train))
        steps = (*turn.steps, *(step for step in rest.steps if ":" in step.name))
        chosen.append(Augmentation(tuple(step for step in steps if _change(step) in changes)))
    return list(dict.fromkeys(chosen))


def _change(step: Step) -> str:
    """The name in VIEW_CHANGES for this step."""
    kind, named, _ = step.name.partition(":")
    return kind if named else "symmetries"


def view_prompts(
    task: Task, looks: Iterable[Augmentation], form: ArcFormat, context: int, direct: bool = False
) -> list[Encoded | None]:
    """The prompt for the task's first test input under every look, without demos if `direct`; None
    if it fills the context."""
    seen = [look.apply(task) for look in looks]
    prompts = [form.prompt(without_demos(one) if direct else one) for one in seen]
    return [prompt if len(prompt) < context else None for prompt in prompts]


def longest_answer(task: Task, form: ArcFormat) -> int:
    """The tokens of a square grid somewhat larger than every grid of the task, and than the test
    input scaled as outputs of the demos are."""
    demos = [(max(p.input.shape), max(p.output.shape)) for p in task.train if p.output is not None]
    given = max(task.test[0].input.shape)
    grown = [ceil(given * after / before) for before, after in demos]
    longest = max(given, *grown, *(side for sides in demos for side in sides))
    side = min(MAX_SIDE, longest + max(2, longest // 2))
    return len(form.answer(frozen(np.zeros((side, side)))))
