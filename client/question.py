"""A test input prepared for the model: its prompts under several views, limits on the answer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from arc.augment import Augmentation
from arc.formats import ArcFormat, Encoded
from arc.grammar import Grammar
from arc.grid import frozen
from arc.shapes import inferred_shape
from arc.task import Task
from arc.voter import HEARING_EXPERTS
from client.task_seed import seed_of
from client.views import longest_answer, view_prompts, views

if TYPE_CHECKING:
    from client.settings import Settings

Shape = tuple[int, int]


@dataclass(frozen=True)
class View:
    """A test input under one augmentation."""

    look: Augmentation
    prompt: Encoded
    room: int  # most tokens that the answer may have
    grammar: Grammar | None  # restricts the answer; None: no restriction


@dataclass(frozen=True)
class Question:
    """One test input of one task."""

    task: int  # index in the group that is answered together
    test: int
    seed: int  # seed of random choices for it
    views: list[View]  # views that leave room for an answer in the context
    too_long: int  # number of views that leave no room
    shape: Shape | None  # shape of the answer, if settings ask for it and it is certain
    experts: list[View]  # views that score every candidate


def question_of(
    task: Task, i: int, j: int, form: ArcFormat, context: int, settings: Settings
) -> Question:
    """Prepares test input `j` of the task, which is number `i` of its group."""
    alone = task.with_test(j)
    inferred = inferred_shape(alone) if settings.constrain == "shape" else None
    shape = None if inferred is None else inferred.shape
    looks = partial(views, alone, seed=settings.seed, changes=settings.view_changes)
    # separate counts, so that experts do not change the views under which answers are written
    asking = looks(settings.views)
    judging = looks(settings.expert_views) if settings.voting in HEARING_EXPERTS else []
    seen = _seen(alone, dict.fromkeys(asking + judging), shape, form, context, settings)
    asked = [seen[look] for look in asking if look in seen]
    return Question(
        i,
        j,
        seed_of(task, settings.seed) + j,
        views=asked,
        too_long=len(asking) - len(asked),
        shape=shape,
        experts=[seen[look] for look in judging if look in seen],
    )


def _seen(
    task: Task,
    looks: Collection[Augmentation],
    shape: Shape | None,
    form: ArcFormat,
    context: int,
    settings: Settings,
) -> dict[Augmentation, View]:
    """A view for each look whose prompt leaves room for an answer."""
    enough = longest_answer(task, form)
    if shape is not None:
        enough = max(enough, len(form.answer(frozen(np.zeros(shape)))))
    prompts = view_prompts(task, looks, form, context, settings.direct_pairs)
    constrained = settings.constrain != "off"
    grammars = [form.grammar(_turned(shape, look)) if constrained else None for look in looks]
    return {
        look: View(look, prompt, min(enough, context - len(prompt)), grammar)
        for look, prompt, grammar in zip(looks, prompts, grammars, strict=True)
        if prompt is not None
    }


def _turned(shape: Shape | None, look: Augmentation) -> Shape | None:
    if shape is None:
        return None
    height, width = look.shape(shape)
    return height, width
