"""Views: they cover the square, can be undone and replayed, and leave room to answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_bases import small_task, task_of_sides

from arc.augment import Augmentation
from arc.canvas import CanvasFormat
from arc.formats import Encoded
from arc.grid import same, spell
from client.views import longest_answer, view_prompts, views

FORM = CanvasFormat()


def test_views_depend_on_the_seed_and_on_nothing_else() -> None:
    task = small_task("t", 3)
    names = [look.name for look in views(task, 12, 0)]
    assert names == [look.name for look in views(task, 12, 0)]
    assert names[:5] == [look.name for look in views(task, 5, 0)]
    assert names[1:] != [look.name for look in views(task, 12, 1)][1:]


def test_the_usual_views_stay_the_same_from_version_to_version() -> None:
    assert [look.name for look in views(small_task("t", 3, demos=4), 3, 0)] == [
        "identity",
        "rot90+colours:0478916325+demos:3,1,0,2",
        "rot180+colours:0158346927+demos:0,2,1,3",
    ]


def test_views_begin_with_the_task_as_it_is_and_cover_the_square() -> None:
    looks = views(small_task("t", 3), 8, 0)
    assert looks[0].name == "identity"
    assert len({look.name.split("+")[0] for look in looks}) == 8
    assert len({look.name for look in views(small_task("t", 3), 40, 0)}) == 40


def test_views_can_be_undone_and_replayed() -> None:
    task = small_task("t", 3, demos=4)
    for look in views(task, 20, 0):
        assert look.invertible
        seen = look.apply(task)
        assert same(look.invert(seen.test[0].input), task.test[0].input)
        assert Augmentation.parse(look.name).apply(task) == seen
        back = {spell(look.invert(pair.input)) for pair in seen.train}
        assert back == {spell(pair.input) for pair in task.train}


def test_a_view_without_room_to_answer_is_none() -> None:
    task = small_task("t", 3)
    looks = views(task, 3, 0)
    (length,) = {len(p) for p in view_prompts(task, looks, FORM, 600) if isinstance(p, Encoded)}
    assert view_prompts(task, looks, FORM, length) == [None] * 3
    assert None not in view_prompts(task, looks, FORM, length + 1)


sides = st.integers(1, 10)


@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=3), sides)
def test_there_is_room_for_an_answer_as_large_as_the_demos_promise(
    demos: list[tuple[int, int]], asked: int
) -> None:
    promised = [
        *(after for _, after in demos),
        *(asked * after // before for before, after in demos),
    ]
    for made in {min(30, max(1, side)) for side in (*promised, asked)}:
        task = task_of_sides(demos, (asked, made))
        assert longest_answer(task, FORM) >= FORM.example(task).counted


@pytest.mark.parametrize("kind", ["training/arc1", "evaluation_dev/arc1"])
def test_there_is_room_for_every_real_answer(arc_data, kind: str) -> None:
    from arc.readers import read_tasks

    for task in read_tasks(arc_data / kind)[:60]:
        for alone in (task.with_test(i) for i in range(len(task.test))):
            assert longest_answer(alone, FORM) >= FORM.example(alone).counted, task.id
