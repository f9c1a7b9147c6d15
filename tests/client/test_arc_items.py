"""Training items: no answer enters, nothing is cut, all of it can be replayed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from tiny_bases import small_task, task_of_sides

from arc.augment import Augmentation
from arc.canvas import INPUT, OUTPUT, TASK, CanvasFormat
from arc.grid import grid
from arc.pseudo import direct_pairs, leave_one_out, without_demos
from arc.task import Pair, Task, task_to_json
from client.arc_items import training_items
from client.question import question_of
from client.settings import Settings
from client.views import view_prompts, views
from kb.wire import Hit

FORM = CanvasFormat()
SETTINGS = Settings(num_pseudo=12)


def hit(task: Task, number: int = 0, multiplicity: int = 1) -> Hit:
    answers = [
        [[int(c) for c in row] for row in p.output] for p in task.test if p.output is not None
    ]
    return Hit(
        id=number,
        source="known",
        kind="arc",
        prompt=json.dumps(task_to_json(task.without_answers())),
        answer=json.dumps(answers),
        score=0.9,
        multiplicity=multiplicity,
    )


def spelled(items: list[Any]) -> list[tuple[list[int], list[int], list[int], float]]:
    return [
        (
            *(
                list(map(int, part))
                for part in (i.encoded.ids, i.encoded.positions, i.encoded.labels)
            ),
            i.weight,
        )
        for i in items
    ]


def test_the_answer_never_enters() -> None:
    task = small_task("t", 3, tests=2)
    other = dataclasses.replace(
        task, test=tuple(Pair(pair.input, grid([[9, 9], [8, 8]])) for pair in task.test)
    )
    hits = [hit(small_task("k", 5))]
    made = [
        training_items(t, hits, FORM, 600, SETTINGS) for t in (task, other, task.without_answers())
    ]
    assert len(made[0].items) == 14
    assert spelled(made[0].items) == spelled(made[1].items) == spelled(made[2].items)


def test_own_items_are_leave_one_out() -> None:
    """Each answers one demo from the others, and never shows the test input."""
    task = small_task("t", 3, demos=4)
    made = training_items(task, [], FORM, 600, dataclasses.replace(SETTINGS, loss_on="answer"))
    for item in made.items:
        ids = item.encoded.ids.tolist()
        assert ids.count(INPUT) == ids.count(OUTPUT) == 4  # three demos and the question
        assert item.encoded.counted == 3  # one cell, its row's end, END


def test_the_loss_is_on_outputs_from_the_second_demo_on_unless_told_otherwise() -> None:
    task = small_task("t", 3, demos=4)
    counted = {
        words: {item.encoded.counted for item in made.items}
        for words in ("outputs", "answer", "all")
        for made in [
            training_items(task, [], FORM, 600, dataclasses.replace(SETTINGS, loss_on=words))
        ]
    }
    assert SETTINGS.loss_on == "outputs"
    # two of the three demos, and the question; the question alone; every token
    assert counted == {
        "outputs": {9},
        "answer": {3},
        "all": {len(FORM.example(leave_one_out(task)[0]))},
    }


def test_direct_pairs_are_trained_on_and_asked_without_demos() -> None:
    task = small_task("t", 3, demos=4)
    direct = dataclasses.replace(SETTINGS, direct_pairs=True, augmentations=(), permuted_share=0.0)
    items = training_items(task, [], FORM, 600, direct).items
    bare = [FORM.example(pair) for pair in direct_pairs(task)]
    assert [item.encoded.ids.tolist() for item in items[:4]] == [one.ids.tolist() for one in bare]
    asked = question_of(task, 0, 0, FORM, 600, direct).views[0].prompt
    assert asked.ids.tolist() == FORM.prompt(without_demos(task)).ids.tolist()


def test_items_of_the_whole_recipe_fit_and_vary() -> None:
    """Of demos of 16 x 16 no larger look is made; of small ones many."""
    whole = dataclasses.replace(
        SETTINGS, augmentations=("mit",), permuted_share=0.5, leave_out=2, num_pseudo=60
    )
    large = training_items(task_of_sides([(16, 16)] * 3, (16, 16)), [], FORM, 9999, whole).items
    longest = max(len(item.encoded) for item in large)
    assert (len(large), longest) == (60, 6 * (16 * 17 + 2))
    small = training_items(small_task("t", 3), [], FORM, 600, whole).items
    assert len({len(item.encoded) for item in small}) > 5


def test_retrieved_tasks_take_looks_of_the_recipe_too() -> None:
    plain = dataclasses.replace(SETTINGS, augmentations=(), permuted_share=0.0)
    other = small_task("k", 5)
    made = training_items(small_task("t", 3), [hit(other)], FORM, 600, plain)
    assert made.items[-1].encoded.ids.tolist() == FORM.example(other).ids.tolist()


def test_a_base_without_demos_is_trained_and_asked_under_looks_that_are_spelled_out() -> None:
    form, task = CanvasFormat(mode="pair"), small_task("t", 3, demos=4)
    items = training_items(task, [], form, 600, SETTINGS).items
    prompts = view_prompts(task, views(task, 8, 0), form, 600)
    seen = [item.encoded for item in items] + [prompt for prompt in prompts if prompt]
    assert len(seen) == 12 + 8
    for encoded in seen:
        ids = encoded.ids.tolist()
        assert ids[0] == TASK and ids.count(INPUT) == ids.count(OUTPUT) == 1
        assert sorted(ids[2:12]) == list(range(10)), "the new colours"
    assert {encoded.ids[1] for encoded in seen[12:]} == set(range(8)), "all symmetries"


def test_a_single_demo_leaves_only_what_was_retrieved() -> None:
    lone = small_task("t", demos=1)
    assert training_items(lone, [], FORM, 600, SETTINGS).items == []
    assert len(training_items(lone, [hit(small_task("k", 5))], FORM, 600, SETTINGS).items) == 2


@pytest.mark.parametrize(("weight", "looks"), [(0.0, 0), (0.1, 4), (0.5, 6), (1.25, 15)])
def test_retrieved_tasks_weigh_together_what_is_set(weight: float, looks: int) -> None:
    """Nearest first, as often as picked, every pick once at least, none more than an own item."""
    settings = dataclasses.replace(SETTINGS, retrieved_weight=weight)
    hits = [hit(small_task("a", 5), 0, 3), hit(small_task("b", 6), 1)]
    items = training_items(small_task("t", 3), hits, FORM, 600, settings).items
    own, retrieved = items[:12], items[12:]
    assert [item.weight for item in own] == [1.0] * 12 and len(retrieved) == looks
    assert sum(item.weight for item in retrieved) == pytest.approx(weight * 12)
    assert all(item.weight <= 1 for item in retrieved)
    sources = [item.name.split()[0] for item in retrieved]
    nearest = looks * 3 // 4
    assert sources == ["known#0"] * nearest + ["known#1"] * (looks - nearest)
    assert len({item.name for item in retrieved}) == looks  # another look each time


def test_retrieved_tasks_may_weigh_what_they_are_like() -> None:
    settings = dataclasses.replace(
        SETTINGS, retrieved_weight=0.5, weighted_sample_training=True, num_pseudo=8
    )
    near, far = hit(small_task("a", 5), 0), hit(small_task("b", 6), 1)
    hits = [near.model_copy(update={"score": 0.9}), far.model_copy(update={"score": 0.3})]
    items = training_items(small_task("t", 3), hits, FORM, 600, settings).items
    assert [round(item.weight, 6) for item in items] == [1.0] * 8 + [1.5] * 2 + [0.5] * 2


def test_an_items_name_tells_what_it_was_made_from() -> None:
    """And under which look, so that it can be made again."""
    task = small_task("t", 3)
    for item in training_items(task, [], FORM, 600, SETTINGS).items:
        source, look = item.name.split()
        (pseudo,) = [one for one in leave_one_out(task) if one.id == source]
        seen = Augmentation.parse(look).apply(pseudo)
        assert FORM.example(seen, every_output=True).ids.tolist() == item.encoded.ids.tolist()


def test_a_retrieved_task_that_tells_the_answer_is_withheld() -> None:
    task = small_task("t", 3)
    asked = task.test[0].input
    as_demo = dataclasses.replace(small_task("d", 5), train=(Pair(asked, grid([[3]])),) * 2)
    made = training_items(
        task, [hit(task, 7), hit(as_demo, 8), hit(small_task("k", 5), 9)], FORM, 600, SETTINGS
    )
    assert len(made.items) == 14 and made.withheld == {7, 8}


def test_what_is_too_long_is_left_out_and_counted() -> None:
    task, large = small_task("t", 3), task_of_sides([(9, 9), (9, 9)], (9, 9))
    longest = max(len(item.encoded) for item in training_items(task, [], FORM, 600, SETTINGS).items)
    made = training_items(task, [hit(large)], FORM, longest, SETTINGS)
    assert (len(made.items), made.too_long) == (12, 2)
    made = training_items(task, [hit(large)], FORM, longest - 1, SETTINGS)
    assert made.too_long + len(made.items) == 14 and made.too_long > 2


def test_items_depend_on_the_seed_and_on_nothing_else() -> None:
    task, hits = small_task("t", 3), [hit(small_task("k", 5))]
    first = training_items(task, hits, FORM, 600, SETTINGS)
    again = training_items(task, hits, FORM, 600, SETTINGS)
    other = training_items(task, hits, FORM, 600, dataclasses.replace(SETTINGS, seed=1))
    assert spelled(first.items) == spelled(again.items) != spelled(other.items)
