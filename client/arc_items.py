"""The training items of an ARC task, made from its own demos and the tasks retrieved for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Sequence
from math import ceil
from random import Random
from typing import TYPE_CHECKING

from arc.formats import ArcFormat, Encoded
from arc.grid import spell
from arc.task import Task
from client.adaptation import Items
from client.adapters.guard import first_sample
from client.jobs import Item
from client.sample_weights import sample_weights
from client.task_seed import seed_of
from kb.records import task_of

if TYPE_CHECKING:
    from client.settings import Settings
    from kb.wire import Hit


def training_items(
    task: Task, hits: Sequence[Hit], form: ArcFormat, context: int, settings: Settings
) -> Items:
    """The task's own leave-one-out items and items of the retrieved tasks, augmented by the recipe.
    Hits that show an answer to one of its test inputs are withheld, and items longer than `context`
    are left out."""
    found = [(hit, task_of(hit, f"{hit.source}#{hit.id}")) for hit in hits if hit.kind == "arc"]
    asked = {spell(pair.input) for pair in task.test}
    withheld = frozenset(hit.id for hit, other in found if shows_any(other, asked))
    others = [(hit, other) for hit, other in found if hit.id not in withheld]
    own = own_items(task, form, settings)
    retrieved = _retrieved_items(others, form, settings, seed_of(task, settings.seed))
    fitting = [item for item in (*own, *retrieved) if len(item.encoded) <= context]
    too_long = len(own) + len(retrieved) - len(fitting)
    return Items(fitting, too_long, withheld)


def shows_any(other: Task, asked: Container[str]) -> bool:
    """Whether a task has a pair with one of these test inputs (given as `spell` writes them): it
    may be the very task that they come from."""
    return any(spell(pair.input) in asked for pair in (*other.train, *other.test))


def own_items(task: Task, form: ArcFormat, settings: Settings) -> list[Item]:
    """Items made from the task's own demos; none for a single demo, unless `direct_pairs` is
    set."""
    if len(task.train) < 2 and not settings.direct_pairs:
        return []
    seed = seed_of(task, settings.seed)
    drawn = settings.pseudo_tasks(task, settings.num_pseudo, seed)
    return [_item(look, form, settings) for _, look in drawn]


def own_sample(task: Task, form: ArcFormat, context: int, settings: Settings) -> Encoded | None:
    """An item made from the task's own demos, to test an adapter on; None if none fits."""
    items = own_items(task, form, dataclasses.replace(settings, num_pseudo=1))
    return first_sample([item for item in items if len(item.encoded) <= context])


def _retrieved_items(
    others: Sequence[tuple[Hit, Task]], form: ArcFormat, settings: Settings, seed: int
) -> list[Item]:
    """Items of the retrieved tasks, nearest first. Their total weight is `retrieved_weight` times
    that of the task's own items. They are spread over enough augmented copies that no item weighs
    more than an own item (without weighting by similarity), and every pick gets at least one."""
    picks = sum(hit.multiplicity for hit, _ in others)
    mass = settings.retrieved_weight * settings.num_pseudo
    if picks == 0 or mass == 0:
        return []
    looks = max(picks, ceil(mass))
    weights = sample_weights(
        [hit for hit, _ in others], by_similarity=settings.weighted_sample_training
    )
    rng, recipe = Random(seed), settings.recipe()
    items, picked = [], 0
    for (hit, other), weight in zip(others, weights, strict=True):
        until = picked + hit.multiplicity
        for _ in range(looks * picked // picks, looks * until // picks):
            look = recipe.draw(rng, other).apply(other)
            items.append(_item(look, form, settings, weight * mass / looks))
        picked = until
    return items


def _item(look: Task, form: ArcFormat, settings: Settings, weight: float = 1.0) -> Item:
    encoded = form.example(look, every_output=settings.loss_on == "outputs")
    counted = encoded.all_counted() if settings.loss_on == "all" else encoded
    return Item(counted, weight, f"{look.id} {look.look}")
