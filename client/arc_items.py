"""What an ARC task is trained on, and the views under which it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from arc.augment import IDENTITY, Augmentation, random_augmentation, symmetry
from arc.augment import SYMMETRIES as SYMMETRY_NAMES
from arc.formats import ArcFormat, Encoded
from arc.grid import MAX_SIDE, frozen
from arc.pseudo import augmented_leave_one_out
from arc.task import Pair, Task
from client.ttt import Item
from hone.files import short_hash
from kb.records import task_of

if TYPE_CHECKING:
    from client.settings import Settings
    from kb.wire import Hit


@dataclass(frozen=True)
class Items:
    """Training items of one task; what did not fit into the context is counted, never cut."""

    items: list[Item]
    dropped: int


def training_items(
    task: Task, hits: Sequence[Hit], form: ArcFormat, context: int, settings: Settings
) -> Items:
    """The task's own leave-one-out items and the retrieved tasks, under random looks."""
    own = _own_items(task, form, settings)
    retrieved = _retrieved_items(hits, form, settings, seed_of(task, settings.seed))
    fitting = [item for item in (*own, *retrieved) if len(item.encoded) <= context]
    return Items(fitting, len(own) + len(retrieved) - len(fitting))


def views(task: Task, count: int, seed: int) -> list[Augmentation]:
    """As it is, then the other symmetries, then more of them, each with colours of its own."""
    rng = Random(seed_of(task, seed))
    chosen = [IDENTITY]
    for i in range(1, count):
        turn = symmetry(SYMMETRY_NAMES[i % len(SYMMETRY_NAMES)])
        # the random part brings colours and an order of demos; its own turn is dropped
        rest = random_augmentation(rng, len(task.train))
        chosen.append(turn.then(Augmentation(tuple(s for s in rest.steps if ":" in s.name))))
    return chosen


def view_prompts(
    task: Task, looks: Sequence[Augmentation], form: ArcFormat, context: int
) -> list[Encoded | None]:
    """The task's first test input under every look; None where it leaves no room to answer."""
    prompts = [form.prompt(look.apply(task)) for look in looks]
    return [prompt if len(prompt) < context else None for prompt in prompts]


def longest_answer(task: Task, form: ArcFormat) -> int:
    """Tokens enough for an answer somewhat larger than every grid of the task."""
    grids = [g for pair in task.train for g in (pair.input, pair.output) if g is not None]
    sides = [side for cells in (*grids, task.test[0].input) for side in cells.shape]
    side = min(MAX_SIDE, max(sides) + max(2, max(sides) // 2))
    blank = frozen(np.zeros((side, side)))
    return form.example(Task("", (), (Pair(blank, blank),))).counted


def seed_of(task: Task, seed: int) -> int:
    """The task's own randomness: the same in whatever group and order it is asked."""
    return int(short_hash(task.id, seed), 16)


def _own_items(task: Task, form: ArcFormat, settings: Settings) -> list[Item]:
    if len(task.train) < 2:
        return []
    drawn = augmented_leave_one_out(task, settings.num_pseudo, seed_of(task, settings.seed))
    return [
        Item(form.example(look, every_output=settings.every_output), settings.own_weight)
        for _, look in drawn
    ]


def _retrieved_items(
    hits: Sequence[Hit], form: ArcFormat, settings: Settings, seed: int
) -> list[Item]:
    rng = Random(seed)
    items = []
    for hit in hits:
        if hit.kind != "arc":
            continue
        task = task_of(hit, str(hit.id))
        for _ in range(hit.multiplicity):
            look = random_augmentation(rng, len(task.train)).apply(task)
            encoded = form.example(look, every_output=settings.every_output)
            items.append(Item(encoded, settings.retrieved_weight))
    return items
