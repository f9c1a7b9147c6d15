"""Families draw valid, repeatable tasks with a rule to find, and held-out ones stay apart."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import numpy as np
import pytest

from arc.generators import (
    FAMILIES,
    Family,
    Rule,
    held_out_families,
    sample_task,
    sample_with_rule,
    training_families,
)
from arc.generators.__main__ import families_named, main
from arc.generators.family import on_ground
from arc.grid import grid, same, spell
from arc.task import Pair, Task, task_from_json, task_to_json
from hone.errors import BadInput
from hone.files import read_json

SEEDS = range(20)
LARGEST_SIDE = {False: 16, True: 11}  # by whether a family is held out
USUAL_CELLS = {False: 850, True: 450}  # in the four pairs of a task; a base's context is short

every_family = pytest.mark.parametrize("chosen", FAMILIES.values(), ids=list(FAMILIES))


@cache
def drawn(chosen: Family) -> list[tuple[Task, Rule]]:
    return [sample_with_rule(chosen, seed) for seed in SEEDS]


def pairs_of(task: Task) -> tuple[Pair, ...]:
    return task.train + task.test


def contents(families: list[Family]) -> set[str]:
    return {spelled(p) for f in families for task, _ in drawn(f) for p in pairs_of(task)}


def spelled(pair: Pair) -> str:
    assert pair.output is not None
    return f"{spell(pair.input)} -> {spell(pair.output)}"


@every_family
def test_tasks_are_valid_and_small(chosen: Family) -> None:
    cells = []
    for task, _ in drawn(chosen):
        assert task == task_from_json(task_to_json(task), task.id, "drawn")
        assert len(task.train) == 3 and len(task.test) == 1
        grids = [g for p in pairs_of(task) for g in (p.input, p.output) if g is not None]
        assert max(max(g.shape) for g in grids) <= LARGEST_SIDE[chosen.held_out]
        assert not any(g.flags.writeable for g in grids)
        cells.append(sum(g.size for g in grids))
    assert np.mean(cells) <= USUAL_CELLS[chosen.held_out]


@every_family
def test_a_seed_draws_one_task(chosen: Family) -> None:
    for seed, (task, _) in zip(SEEDS, drawn(chosen), strict=True):
        assert task == sample_task(chosen, seed)
        assert task.id == f"{chosen.name}-{seed}"
    assert len({str(task_to_json(task)) for task, _ in drawn(chosen)}) == len(SEEDS)


@every_family
def test_the_rule_answers_every_pair_and_only_looks(chosen: Family) -> None:
    for task, rule in drawn(chosen):
        for pair in pairs_of(task):
            for _ in range(2):  # the same answer each time
                made = rule.apply(pair.input)
                assert made.dtype == np.uint8
                assert same(grid(made), pair.output)


@every_family
def test_copying_and_repeating_one_answer_do_not_solve_it(chosen: Family) -> None:
    for task, _ in drawn(chosen):
        pairs = pairs_of(task)
        assert not any(same(pair.input, pair.output) for pair in pairs)
        assert len({spell(pair.input) for pair in pairs}) == len(pairs)
        assert len({spelled(pair).partition(" -> ")[2] for pair in pairs}) > 1


@every_family
def test_a_rule_holds_beyond_the_task(chosen: Family) -> None:
    """What a rule draws next it can also answer, within the same limits."""
    for _, rule in drawn(chosen)[:5]:
        for _ in range(20):
            cells = grid(rule.draw())
            assert max(cells.shape + grid(rule.apply(cells)).shape) <= LARGEST_SIDE[chosen.held_out]


def test_families_share_no_task_nor_pair() -> None:
    found = [(f.name, contents([f])) for f in FAMILIES.values()]
    for i, (name, pairs) in enumerate(found):
        for other, theirs in found[:i]:
            assert not pairs & theirs, f"{name} and {other} drew the same pair"


def test_held_out_families_are_apart() -> None:
    training, held_out = training_families(), held_out_families()
    assert len(FAMILIES) >= 66 and len(held_out) >= len(FAMILIES) / 5
    assert {f.name for f in training} | {f.name for f in held_out} == set(FAMILIES)
    assert not {f.name for f in training} & {f.name for f in held_out}
    assert not contents(training) & contents(held_out)
    assert [f.name for f in training] == sorted(f.name for f in training)


@every_family
def test_a_family_says_what_it_asks_for(chosen: Family) -> None:
    assert chosen.says.endswith(".") and 20 < len(chosen.says) < 200


def test_demos_refute_the_other_readings() -> None:
    for chosen in FAMILIES.values():
        for task, rule in drawn(chosen):
            for rival in rule.rivals:
                assert any(not same(rival(pair.input), pair.output) for pair in task.train)


def test_another_ground_changes_places_with_black() -> None:
    rule = FAMILIES["gravity"].start(Random(1))
    cells = rule.draw()
    on_red = on_ground(2, rule)
    table = np.array([2, 1, 0, *range(3, 10)], dtype=np.uint8)
    assert same(on_red.apply(table[cells]), table[rule.apply(cells)])
    grounds = [
        2 * (task.train[0].input == 0).sum() < task.train[0].input.size
        for f in (FAMILIES["stamp"], FAMILIES["crosses"])
        for task, _ in drawn(f)
    ]
    assert any(grounds[: len(SEEDS)]) and not any(grounds[len(SEEDS) :])


def test_one_demo_or_many_on_request() -> None:
    for chosen in FAMILIES.values():
        assert len(sample_task(chosen, 0, demos=1).train) == 1
    assert len(sample_task(FAMILIES["gravity"], 0, demos=5).train) == 5
    with pytest.raises(BadInput, match="at least 1"):
        sample_task(FAMILIES["gravity"], 0, demos=0)


def test_command_writes_tasks_and_a_sheet(tmp_path: Path) -> None:
    out = tmp_path / "tasks"
    asked = ["--out_dir", str(out), "--count", "2", "--seed", "7", "--families", "crop,gravity"]
    assert main(asked) == 0
    names = ["contact.svg", *(f"{f}-{s}.json" for f in ("crop", "gravity") for s in (7, 8))]
    assert sorted(p.name for p in out.iterdir()) == names
    task = task_from_json(read_json(out / "crop-8.json"), "crop-8", "file")
    assert task == sample_task(FAMILIES["crop"], 8)
    sheet = (out / "contact.svg").read_text()
    ElementTree.fromstring(sheet)
    assert "crop" in sheet and "gravity" in sheet


def test_command_writes_every_family_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert main(["--out_dir", str(tmp_path / name)]) == 0
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--families", "crop,nonsense"], "nonsense"),
        (["--families", ""], "no family ''"),
        (["--demos", "0"], "--demos"),
        (["--count", "0"], "--count"),
    ],
)
def test_bad_values_are_named_and_nothing_is_written(
    tmp_path: Path, flags: list[str], named: str
) -> None:
    with pytest.raises(BadInput, match=named):
        main(["--out_dir", str(tmp_path / "out"), *flags])
    assert not (tmp_path / "out").exists()


def test_a_bad_family_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "arc.generators", "--out_dir", str(tmp_path / "out")]
    done = subprocess.run([*command, "--families", "x"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no family 'x'") and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_out_dir_must_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(BadInput, match="is a file"):
        main(["--out_dir", str(tmp_path / "file")])
    with pytest.raises(BadInput, match="--out_dir"):
        main([])
    assert (tmp_path / "file").read_text() == "kept"


def test_groups_of_families_by_name() -> None:
    assert families_named("training") == training_families()
    assert families_named("held_out") == held_out_families()
    assert len(families_named("all")) == len(FAMILIES)
    assert [f.name for f in families_named("tile, crop,tile")] == ["tile", "crop"]


def test_torch_is_not_needed() -> None:
    check = (
        "import sys, arc.generators.__main__, arc.generators.contact; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
