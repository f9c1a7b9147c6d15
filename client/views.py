"""The looks under which a task is asked, its prompts under them, and how long an answer may be."""

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
    """As it is, then the other symmetries, then more of them, each with colours and an order of
    demos of its own. Where not all of these may change, as many as still differ."""
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
    """Which of VIEW_CHANGES it is."""
    kind, named, _ = step.name.partition(":")
    return kind if named else "symmetries"


def view_prompts(
    task: Task, looks: Iterable[Augmentation], form: ArcFormat, context: int, direct: bool = False
) -> list[Encoded | None]:
    """The task's first test input under every look, with `direct` without its demos; None where it
    leaves no room to answer."""
    seen = [look.apply(task) for look in looks]
    prompts = [form.prompt(without_demos(one) if direct else one) for one in seen]
    return [prompt if len(prompt) < context else None for prompt in prompts]


def longest_answer(task: Task, form: ArcFormat) -> int:
    """Tokens enough for an answer somewhat larger than every grid of the task, and than the test
    input grown as the demos grow."""
    demos = [(max(p.input.shape), max(p.output.shape)) for p in task.train if p.output is not None]
    given = max(task.test[0].input.shape)
    grown = [ceil(given * after / before) for before, after in demos]
    longest = max(given, *grown, *(side for sides in demos for side in sides))
    side = min(MAX_SIDE, longest + max(2, longest // 2))
    return len(form.answer(frozen(np.zeros((side, side)))))
