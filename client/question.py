"""A test input as it is asked: under its views, with room to answer, and what an answer may be."""

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
    look: Augmentation
    prompt: Encoded
    room: int  # tokens that the answer may take
    grammar: Grammar | None  # what may be written; None: anything


@dataclass(frozen=True)
class Question:
    """One test input of one task."""

    task: int  # which of those that are answered together
    test: int
    seed: int  # of what is drawn for it
    views: list[View]  # those that leave room to answer within the context
    too_long: int  # views that leave none
    shape: Shape | None  # of the answer, where it is asked for and certain
    experts: list[View]  # those that judge every candidate


def question_of(
    task: Task, i: int, j: int, form: ArcFormat, context: int, settings: Settings
) -> Question:
    """Test input `j` of the task, which is number `i` of its group."""
    alone = task.with_test(j)
    inferred = inferred_shape(alone) if settings.constrain == "shape" else None
    shape = None if inferred is None else inferred.shape
    looks = partial(views, alone, seed=settings.seed, changes=settings.view_changes)
    # by a count of their own: who judges does not change under which looks answers are written
    asking, judging = looks(settings.views), looks(settings.expert_views)
    if settings.voting not in HEARING_EXPERTS:
        judging = []
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
    """Under each look that leaves room to answer."""
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
