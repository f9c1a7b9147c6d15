"""What an ARC task is trained on, and the views under which it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from arc.augment import IDENTITY, Augmentation, random_augmentation, symmetry
from arc.formats import ArcFormat, Encoded
from arc.grid import MAX_SIDE, frozen, spell
from arc.pseudo import augmented_pseudo_tasks
from arc.steps import SYMMETRIES, Step
from arc.task import Task
from client.adaptation import Items
from client.jobs import Item
from hone.files import short_hash
from kb.records import task_of

if TYPE_CHECKING:
    from client.settings import Settings
    from kb.wire import Hit

VIEW_CHANGES = ("symmetries", "colours", "demos")


def training_items(
    task: Task, hits: Sequence[Hit], form: ArcFormat, context: int, settings: Settings
) -> Items:
    """The task's own leave-one-out items and the retrieved tasks, under looks of the recipe."""
    found = [(task_of(hit, str(hit.id)), hit.multiplicity) for hit in hits if hit.kind == "arc"]
    others = [(other, times) for other, times in found if not _answers(other, task)]
    own = _own_items(task, form, settings)
    retrieved = _retrieved_items(others, form, settings, seed_of(task, settings.seed))
    fitting = [item for item in (*own, *retrieved) if len(item.encoded) <= context]
    too_long = len(own) + len(retrieved) - len(fitting)
    return Items(fitting, too_long, withheld=len(found) - len(others))


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
    task: Task, looks: Sequence[Augmentation], form: ArcFormat, context: int
) -> list[Encoded | None]:
    """The task's first test input under every look; None where it leaves no room to answer."""
    prompts = [form.prompt(look.apply(task)) for look in looks]
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


def seed_of(task: Task, seed: int) -> int:
    """The task's own randomness: the same in whatever group and order it is asked."""
    return int(short_hash(task.id, seed), 16)


def _own_items(task: Task, form: ArcFormat, settings: Settings) -> list[Item]:
    if len(task.train) < 2:
        return []
    seed = seed_of(task, settings.seed)
    drawn = augmented_pseudo_tasks(
        task, settings.num_pseudo, seed, settings.recipe(), settings.leave_out
    )
    return _items([look for _, look in drawn], form, settings, settings.own_weight)


def _answers(other: Task, task: Task) -> bool:
    """Whether a retrieved task shows what becomes of a test input: it may be the very same task."""
    asked = {spell(pair.input) for pair in task.test}
    return any(spell(pair.input) in asked for pair in (*other.train, *other.test))


def _retrieved_items(
    others: Sequence[tuple[Task, int]], form: ArcFormat, settings: Settings, seed: int
) -> list[Item]:
    rng, recipe = Random(seed), settings.recipe()
    looks = [recipe.draw(rng, other).apply(other) for other, times in others for _ in range(times)]
    return _items(looks, form, settings, settings.retrieved_weight)


def _items(looks: Sequence[Task], form: ArcFormat, settings: Settings, weight: float) -> list[Item]:
    every_output = settings.loss_on == "outputs"
    return [Item(form.example(look, every_output=every_output), weight) for look in looks]
