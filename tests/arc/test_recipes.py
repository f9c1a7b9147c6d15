"""Recipes draw what their groups name, replayably, and never what makes a grid too large."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest
from arc_strategies import recipes, tasks
from hypothesis import given
from hypothesis import strategies as st

from arc.augment import Augmentation, random_augmentation
from arc.grid import frozen
from arc.recipes import GROUPS, USUAL, Recipe
from arc.steps import SYMMETRIES
from arc.task import Pair, Task
from hone.errors import BadInput

MIT = Recipe(("mit",), permuted=0.5)


def task_of(side: int, demos: int = 3) -> Task:
    cells = frozen(np.arange(side * side).reshape(side, side) % 10)
    return Task("abc", (Pair(cells, cells),) * demos, (Pair(cells),))


def looks(name: str) -> str:
    """The name without colours and order of demos; every shift is one kind."""
    steps = [step for step in name.split("+") if step.partition(":")[0] not in ("colours", "demos")]
    return "+".join("shift" if step.startswith("shift:") else step for step in steps) or "identity"


@given(recipes(), tasks(side=30), st.integers(0, 2**32))
def test_what_is_drawn_fits_replays_and_depends_on_the_seed_alone(
    recipe: Recipe, task: Task, seed: int
) -> None:
    drawn = [recipe.draw(rng, task) for rng in (Random(seed), Random(seed))]
    assert drawn[0] == drawn[1] == Augmentation.parse(drawn[0].name)
    assert drawn[0].fits(task)
    assert looks(drawn[0].name) in recipe.names


@given(tasks(), st.integers(0, 2**32))
def test_the_usual_recipe_is_symmetries_colours_and_order(task: Task, seed: int) -> None:
    usual = random_augmentation(Random(seed), len(task.train))
    assert USUAL.draw(Random(seed), task) == usual


def test_mit_holds_what_the_paper_lists() -> None:
    turns = [*SYMMETRIES[1:]]
    listed = {
        *("identity", "shift", *turns),
        *("mirror:below", "mirror:above", "mirror:right", "mirror:left"),
        *("scale:2,2", "scale:2,1", "scale:1,2"),
        *(f"{turn}+scale:2,2" for turn in turns),
        *("tile:2,1", "tile:1,2", "tile:2,2"),
    }
    assert set(MIT.names) == listed
    drawn = Counter(looks(MIT.draw(Random(seed), task_of(5)).name) for seed in range(2000))
    assert drawn.keys() == listed
    assert max(drawn.values()) < 2 * min(drawn.values())


def test_what_would_be_too_large_is_drawn_again() -> None:
    drawn = {looks(MIT.draw(Random(seed), task_of(16)).name) for seed in range(500)}
    assert drawn == {*SYMMETRIES, "shift"}
    drawn = {looks(Recipe(("size",)).draw(Random(seed), task_of(16)).name) for seed in range(50)}
    assert drawn == {"identity"}


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.5, 200, 300), (1.0, 490, 500)])
def test_the_share_of_permuted_ones(share: float, low: int, high: int) -> None:
    recipe = Recipe(("mit",), share)
    names = [recipe.draw(Random(seed), task_of(5)).name for seed in range(500)]
    assert low <= sum("colours:" in name for name in names) <= high
    assert all("colours:" in name for name in names if "demos:" in name) or share == 1.0


def test_shifts_are_short_and_never_by_nothing() -> None:
    names = {Recipe(("shift",), 0).draw(Random(seed), task_of(5)).name for seed in range(500)}
    assert names == {"identity", *(f"shift:{r},{c}" for r in range(4) for c in range(4) if r or c)}


def test_no_groups_draw_the_task_as_it_is() -> None:
    assert Recipe((), permuted=0).draw(Random(0), task_of(3)).name == "identity"


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(BadInput, match=f"no augmentations 'flip'; there are: {', '.join(GROUPS)}"):
        Recipe(("size", "flip"))
