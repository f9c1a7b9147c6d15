"""Every way of writing does what its flag says, over padded rows as over packed ones."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from math import log
from typing import Any

import pytest
import torch
from tiny_bases import small_task, write_canvas_base, write_text_base

from arc.augment import Augmentation
from arc.candidates import Candidate
from arc.grid import same, spell
from arc.task import Task, task_from_json
from client.candidate_writer import CandidateWriter
from client.opening import open_adaptation
from client.question import Question, question_of
from client.settings import Settings
from hone.errors import BadInput
from models.base import Base, load_base
from models.decoding.score import score
from models.decoding.write import Bounds

torch.set_num_threads(1)
TASK = small_task("t", 3)
_PAIRS = [{"input": [[1, i], [i, 2]], "output": [[1, i], [i, 2]]} for i in range(4)]
SQUARE = task_from_json({"train": _PAIRS[:3], "test": _PAIRS[3:]}, "square", "square")


@pytest.fixture(scope="module", params=["canvas", "padded"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """One that reads grids; and one that reads text, of a shape that goes its own way."""
    folder = tmp_path_factory.mktemp("bases") / request.param
    if request.param == "canvas":
        return load_base(write_canvas_base(folder), dtype="fp32")
    write_text_base(folder, context=400)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_act": "gelu"}))
    return load_base(folder, dtype="fp32")


def asked(base: Base, task: Task = TASK, **changes: Any) -> tuple[Question, Settings]:
    settings = Settings(**({"views": 3} | changes))
    return question_of(task, 0, 0, base.format, base.context, settings), settings


def written(base: Base, task: Task = TASK, **changes: Any) -> list[Candidate]:
    question, settings = asked(base, task, **changes)
    (found,) = CandidateWriter(base, settings, Bounds()).write([question], [])
    return found


def told(candidates: Sequence[Candidate]) -> list[tuple[str, str, str | None]]:
    return [(c.way, c.view, None if c.grid is None else spell(c.grid)) for c in candidates]


def ways(candidates: Sequence[Candidate]) -> list[str]:
    return [one.way for one in candidates]


def test_greedy_alone_writes_one_answer_a_view(base: Base) -> None:
    assert ways(written(base)) == ["greedy"] * 3
    assert len({one.view for one in written(base)}) == 3


def test_a_constrained_answer_is_a_grid(base: Base) -> None:
    assert all(one.grid is not None for one in written(base, constrain="shape", samples=2))


def test_a_constrained_answer_has_the_shape_that_is_certain(base: Base) -> None:
    pairs = [{"input": [[1, 2]] * n, "output": [[1, 2]] * n} for n in (1, 2, 3)]
    task = task_from_json({"train": pairs[:2], "test": pairs[2:]}, "wide", "wide")
    assert asked(base, task, constrain="shape")[0].shape == (3, 2)
    assert asked(base, task, constrain="grid")[0].shape is None
    found = written(base, task, constrain="shape", views=8, samples=1)
    assert {one.grid.shape for one in found if one.grid is not None} == {(3, 2)}
    free = written(base, task, constrain="grid", views=8, samples=1)
    assert {one.grid.shape for one in free if one.grid is not None} != {(3, 2)}


def test_a_constraint_changes_no_answer_that_keeps_to_it(base: Base) -> None:
    for one, held in zip(written(base), written(base, constrain="grid"), strict=True):
        assert one.grid is None or told([one]) == told([held])


def test_samples_are_drawn_beside_it_and_are_the_same_again(base: Base) -> None:
    hot = {"samples": 4, "constrain": "shape", "temperature": 1.5}
    found = written(base, SQUARE, **hot)
    assert told(found) == told(written(base, SQUARE, **hot))
    greedy = [one for one in found if one.way == "greedy"]
    assert told(greedy) == told(written(base, SQUARE, constrain="shape"))
    assert ways(found).count("sample") >= 3, "none that was written before is kept twice"
    assert ways(written(base, SQUARE, **hot | {"temperature": 1e-4})) == ["greedy"] * 3
    assert "greedy" not in ways(written(base, SQUARE, **hot, greedy=False))


def test_a_search_finds_all_that_is_likely_whether_or_not_it_has_a_guess(base: Base) -> None:
    """Without greedy answers there is none."""
    few = {"search_threshold": 1e-7, "constrain": "shape"}
    alone = written(base, greedy=False, **few)
    beside = written(base, **few)
    assert set(ways(alone)) == {"search"}
    likely = {told([c])[0][1:] for c in alone if c.grid is not None}
    found = {told([c])[0][1:] for c in beside if (c.log_probability or 0.0) > log(1e-7)}
    assert likely == found and len(likely) > 3


def test_what_a_view_wrote_is_of_one_vote(base: Base) -> None:
    found = written(base, samples=3, search_threshold=0.001, constrain="shape")
    for view in {one.view for one in found}:
        own = [one for one in found if one.view == view]
        assert sum(one.part for one in own) == pytest.approx(1)
        assert len({told([one])[0][2] for one in own}) == len(own)


def test_nothing_found_is_said_by_every_view(base: Base) -> None:
    found = written(base, greedy=False, search_threshold=0.98)
    assert [(one.grid, one.way) for one in found] == [(None, "search")] * 3


def test_experts_are_the_same_for_all_and_say_what_the_model_says(base: Base) -> None:
    question, settings = asked(base, voting="experts", expert_views=2, samples=2, constrain="shape")
    (found,) = CandidateWriter(base, settings, Bounds()).write([question], [])
    experts = [view.look for view in question.experts]
    assert [look.name for look in experts] == [view.look.name for view in question.views[:2]]
    for one in found:
        assert one.grid is not None and len(one.experts) == 2
        for look, said in zip(experts, one.experts, strict=True):
            prompt, answer = (
                base.format.prompt(look.apply(TASK)),
                base.format.answer(look.grid(one.grid)),
            )
            ((tokens,),) = score(base.model, base.format, [prompt], [[answer]])
            assert said == pytest.approx(sum(tokens), abs=2e-3)
    assert all(one.experts == () for one in written(base, samples=2, constrain="shape"))


def test_an_expert_that_cannot_read_all_answers_is_not_asked(base: Base) -> None:
    question, settings = asked(base, voting="experts", constrain="shape")
    longest = max(len(view.prompt) for view in question.experts)
    short = dataclasses.replace(base, context=longest + 1)
    (found,) = CandidateWriter(short, settings, Bounds()).write([question], [])
    assert all(one.experts == () for one in found)


def test_more_experts_than_views(base: Base) -> None:
    question, _ = asked(base, voting="experts", views=2, expert_views=5)
    assert (len(question.views), len(question.experts)) == (2, 5)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [(("symmetries",), 8), (("colours",), 12), (("demos",), 6), (("symmetries", "demos"), 12)],
)
def test_views_change_what_they_may(base: Base, changes: tuple[str, ...], kept: int) -> None:
    question, _ = asked(base, views=12, view_changes=changes)
    names = [view.look.name for view in question.views]
    assert len(set(names)) == len(names) <= kept and names[0] == "identity" and len(names) > 3
    kinds = {"colours:": "colours", "demos:": "demos"}
    for step in (step for name in names[1:] for step in name.split("+")):
        kind = next((k for start, k in kinds.items() if step.startswith(start)), "symmetries")
        assert kind in changes


def test_experts_do_not_change_what_is_asked(base: Base) -> None:
    how = {"views": 2, "view_changes": ("demos",), "expert_views": 8}
    for seed in range(12):  # some of which draw the demos as they are
        plain, judged = (
            asked(base, SQUARE, voting=voting, seed=seed, **how)[0]
            for voting in ("hybrid", "experts")
        )
        assert [view.look for view in judged.views] == [view.look for view in plain.views]
        assert len(judged.experts) > 2 and not plain.experts


def test_answers_under_tight_bounds_are_the_same(base: Base) -> None:
    how = {"samples": 1, "search_threshold": 0.001, "constrain": "shape", "voting": "experts"}
    question, settings = asked(base, **how)
    roomy, tight = (
        CandidateWriter(base, settings, bounds).write([question, question], [])
        for bounds in (Bounds(), Bounds(kept=1, read=1))
    )
    assert [told(own) for own in roomy] == [told(own) for own in tight]
    assert told(roomy[0]) == told(roomy[1])


def test_writing_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="--greedy is false, and neither --samples nor"):
        open_adaptation(Settings(greedy=False), "arc")


@pytest.fixture
def looks(base: Base) -> Iterator[Augmentation]:
    question, _ = asked(base, views=8)
    return (view.look for view in question.views)


def test_grids_come_back_as_they_would_be_written(
    base: Base, looks: Iterator[Augmentation]
) -> None:
    """What an expert reads of a grid is what its view would have had to write."""
    grid = TASK.train[0].input
    for look in looks:
        answer = base.format.answer(look.grid(grid))
        cells = base.format.parse(answer)
        assert cells is not None and same(look.invert(cells), grid)
