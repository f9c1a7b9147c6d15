"""Adapters on a part of the layers, from the settings to the answers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from test_arc_solver import QUICK, candidates, open_solver
from tiny_bases import small_task, write_tasks

from arc.task import Task
from client import ttt_multi_lora
from client.arc_run import run_tasks
from client.opening import open_adaptation
from client.settings import Settings
from hone.errors import BadInput
from models.multilora.peft_files import read_adapter

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return [small_task("t3", 3), small_task("t4", 4, demos=4)]


@pytest.mark.parametrize("where", ["top:1", "head"])
def test_a_part_of_the_layers_learns_and_answers_as_it_does_alone(
    canvas_base: Path, tasks: list[Task], where: str
) -> None:
    how: dict[str, Any] = {"adapter_layers": where, "lora_rank": 20, "learning_rate": 3e-2}
    solver = open_solver(canvas_base, **how)
    together = solver.solve(tasks, adapt=True)
    for solution in together:
        losses = solution.trace["losses"]
        assert sum(losses[-4:]) < sum(losses[:4])
    plain = solver.solve(tasks, adapt=False)
    assert [candidates(s) for s in together] != [candidates(s) for s in plain]
    for task, solution in zip(tasks, together, strict=True):
        (alone,) = solver.solve([task], adapt=True)
        assert candidates(alone) == candidates(solution)
    uncached = open_solver(canvas_base, feature_cache_mb=0, **how).solve(tasks, adapt=True)
    assert [candidates(s) for s in uncached] == [candidates(s) for s in together]


def test_a_pool_smaller_than_the_steps_is_gone_through_again_and_again(
    canvas_base: Path, tasks: list[Task]
) -> None:
    solver = open_solver(canvas_base, adapter_layers="head", num_pseudo=4, steps=6, batch_size=4)
    (solution,) = solver.solve(tasks[:1], adapt=True)
    assert solution.trace["items"] == 4 and len(solution.trace["losses"]) == 6
    again = open_solver(canvas_base, adapter_layers="head", num_pseudo=4, steps=1, batch_size=4)
    (first,) = again.solve(tasks[:1], adapt=True)
    assert solution.trace["trained_tokens"] == 6 * first.trace["trained_tokens"]


def test_a_kept_adapter_serves_its_own_placement_alone(
    canvas_base: Path, tasks: list[Task], tmp_path: Path
) -> None:
    keeping = {
        "local_adapter_managing": True,
        "local_adapter_manager_dir": tmp_path / "adapters",
        "local_adapter_manager_threshold": 0.999,
        "local_adapter_manager_size": 9,
        "steps": 1,
    }
    found = {}
    for where in ("all", "top:1", "head", "head"):
        (solution,) = open_solver(canvas_base, adapter_layers=where, **keeping).solve(
            tasks[:1], adapt=True
        )
        found.setdefault(where, []).append(solution)
    assert [s.trace["decision"] for own in found.values() for s in own] == [*["train"] * 3, "hit"]
    assert candidates(found["head"][0]) == candidates(found["head"][1])
    folder = tmp_path / "adapters" / "entries" / found["top:1"][0].trace["adapter"]
    assert {name.split(".")[2] for name in read_adapter(folder).tensors} == {"1"}


def test_rows_are_told_apart_by_placement_and_not_by_the_room_for_features(
    canvas_base: Path, tasks: list[Task], tmp_path: Path
) -> None:
    def files(**how: Any) -> int:
        list(run_tasks(open_solver(canvas_base, steps=1, **how), tasks, tmp_path, with_base=False))
        return len(list((tmp_path / "tasks").iterdir()))

    assert files(adapter_layers="head") == 2
    assert files(adapter_layers="head", feature_cache_mb=7) == 2
    assert files(adapter_layers="top:1") == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"adapter_layers": "tops:1"}, "adapter_layers is 'tops:1'; give all, top:N"),
        ({"adapter_layers": "top:3"}, "top:3, but the base has 2 layers; give top:1 to top:2"),
        ({"adapter_layers": "head", "target_modules": ("q_proj",)}, "adapts no layer"),
        ({"adapter_layers": "top:1", "target_modules": ("embed_tokens",)}, "below all layers"),
    ],
)
def test_placements_that_cannot_be_are_refused_at_once(
    canvas_base: Path, changes: dict[str, Any], said: str
) -> None:
    settings = Settings(model_path=str(canvas_base), num_ttt_samples=0, **changes)
    with pytest.raises(BadInput, match=said) as refused:
        open_adaptation(settings, "arc")
    assert "\n" not in str(refused.value)
    if said.startswith("adapter_layers is"):  # even before a base is looked for
        with pytest.raises(BadInput, match=said):
            open_adaptation(dataclasses.replace(settings, model_path="nowhere"), "arc")


def test_the_command_takes_the_flags(canvas_base: Path, tasks: list[Task], tmp_path: Path) -> None:
    places = {"data_dir": write_tasks(tmp_path / "data", tasks), "model_path": canvas_base}
    more = {"adapter_layers": "head", "feature_cache_mb": 5, "steps": 2}
    flags = [f"--{name}={value}" for name, value in (QUICK | places | more).items()]
    assert ttt_multi_lora.main([*flags, "--out_dir", str(tmp_path / "out")]) == 0
