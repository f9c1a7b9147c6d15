"""What a kept adapter is good for: an answer, a part of one, where training begins, or nothing."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_adapter_store import KEY, adapter, axis, open_store
from test_arc_solver import candidates, open_solver
from test_text_answerer import QUERY, open_answerer
from tiny_bases import small_task

from arc.formats import IGNORED, Encoded
from arc.task import Task
from client.adapter_store import AdapterStore
from client.adapters.guard import Guard, first_sample, sample_as_json, sample_from_json
from client.adapters.merging import merge_weights
from client.adapters.reuse import Offer, Reuse
from client.arc_solver import ArcSolver, Solution
from client.jobs import Item
from client.opening import open_adaptation
from client.settings import Settings
from hone.errors import BadInput
from models.multilora.peft_files import WEIGHTS, AdapterFiles, read_adapter, write_adapter

torch.set_num_threads(1)
LIKE, ALSO_LIKE = small_task("t3", 3), small_task("t4", 4, demos=4)


def offered(store: AdapterStore, *numbers: float, **settings: Any) -> Offer:
    names = {f"local_adapter_manager_{name}": value for name, value in settings.items()}
    vector = np.array([*numbers, *[0] * (8 - len(numbers))], dtype=np.float32)
    return Reuse(store, Settings(**names)).offer(vector, KEY, None, lambda: None)


@pytest.fixture
def store(tmp_path: Path) -> AdapterStore:
    """Three axes, from which 0.9 is near enough."""
    store = open_store(tmp_path / "store", threshold=0.9)
    for i in range(3):
        one = dataclasses.replace(adapter(i), extra={"seconds": 10.0 * i})
        store.put(axis(i), KEY, one, base_path="base")
    return store


def test_two_thresholds_part_four_decisions(store: AdapterStore) -> None:
    assert offered(store, 9, 1).decision == "hit"
    assert offered(store, 1, 1).decision == "train"  # 0.71, and no second threshold
    near = {"near_threshold": 0.6}
    assert offered(store, 9, 1, **near).decision == "hit"
    assert offered(store, 3, 4, **near).decision == "warm start"
    assert offered(store, 3, 4, near="merge", **near).decision == "merge"
    assert offered(store, 1, 1, 1, **near).decision == "train"  # 0.58
    counted = store.stats()
    assert (counted.hits, counted.warm_starts, counted.merges, counted.misses) == (2, 1, 1, 2)
    assert counted.seconds_saved == 10.0  # of the merge: its dearest adapter's


def test_a_warm_start_begins_from_the_nearest(store: AdapterStore) -> None:
    offer = offered(store, 3, 4, near_threshold=0.1)
    assert offer.adapter is None and offer.start is not None
    assert torch.equal(offer.start.tensors["m.q_proj"][0], torch.ones(2, 6))
    assert offer.trace["warm_start"]["similarity"] == pytest.approx(0.8)


def test_a_merge_is_of_the_nearest_by_how_near_they_are(store: AdapterStore) -> None:
    of_two = offered(store, 0, 4.2, 4, near_threshold=0.1, near="merge", merge_of=2)
    parts = of_two.trace["merged"]
    assert [round(part["similarity"], 2) for part in parts] == [0.72, 0.69]
    assert of_two.adapter is not None and of_two.adapter.rank == 4
    weights = [part["weight"] for part in parts]
    ones, twos = (i * i * 2 * 2.0 for i in (1, 2))  # B A of each, rank 2, scale 2
    a, b = of_two.adapter.tensors["m.q_proj"]
    summed = of_two.adapter.scale * (b @ a)
    assert torch.allclose(summed, torch.full((6, 6), weights[0] * ones + weights[1] * twos), 1e-3)


def test_weights_fall_with_distance_and_those_of_strangers_are_dropped() -> None:
    near, far, stranger = merge_weights([0.9, 0.86, 0.5])
    assert near + far == pytest.approx(1) and near / far == pytest.approx(math.e)
    assert stranger == 0 and merge_weights([0.3]) == [1]


def test_a_damaged_one_is_passed_over(store: AdapterStore) -> None:
    first = offered(store, 3, 4, near_threshold=0.1).trace["warm_start"]["adapter"]
    weights = store.folder / "entries" / first / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:40])
    again = offered(store, 3, 4, near_threshold=0.1).trace["warm_start"]
    assert again["adapter"] != first and again["similarity"] == pytest.approx(0.6)


def solver_of(base: Path, folder: Path, **changes: Any) -> ArcSolver:
    keeping = {"local_adapter_managing": True, "local_adapter_manager_dir": folder}
    keeping["local_adapter_manager_threshold"] = 0.999
    return open_solver(base, **(keeping | changes))


def solved(solver: ArcSolver, task: Task) -> Solution:
    return solver.solve([task], adapt=True)[0]


def spoil(folder: Path, change: Any) -> AdapterFiles:
    """The one adapter that is kept there, changed."""
    (entry,) = (folder / "entries").iterdir()
    changed = change(read_adapter(entry))
    write_adapter(entry, changed, "base")
    return changed


def unlearned(adapter: AdapterFiles) -> AdapterFiles:
    """What it had learned to do, it now avoids."""
    turned = {name: (a, -3 * b) for name, (a, b) in adapter.tensors.items()}
    return dataclasses.replace(adapter, tensors=turned)


def emptied(adapter: AdapterFiles) -> AdapterFiles:
    """It knows nothing beside the base."""
    nothing = {name: (a, torch.zeros_like(b)) for name, (a, b) in adapter.tensors.items()}
    return dataclasses.replace(adapter, tensors=nothing)


def test_the_guard_lets_a_good_adapter_answer_and_has_a_bad_one_trained_anew(
    canvas_base: Path, tmp_path: Path
) -> None:
    guarded = {"local_adapter_manager_guard": True, "local_adapter_manager_memory_mb": 0}
    solver = solver_of(canvas_base, tmp_path / "kept", **guarded)
    first, second = solved(solver, LIKE), solved(solver, LIKE)
    assert [one.trace["decision"] for one in (first, second)] == ["train", "hit"]
    asked = second.trace["guard"]
    assert asked["loss"] < asked["base_loss"] and candidates(first) == candidates(second)
    spoil(tmp_path / "kept", unlearned)
    third = solved(solver, LIKE)
    assert third.trace["decision"] == "train" and candidates(third) == candidates(first)
    refused = third.trace["refused"]
    assert refused["loss"] > refused["base_loss"] and refused["similarity"] == pytest.approx(1)
    assert solved(solver, LIKE).trace["decision"] == "hit"  # the bad one was replaced
    store = solver.adaptation.store
    assert store is not None and (store.stats().refused, store.stats().hits) == (1, 2)


def test_a_text_is_guarded_by_the_sample_that_is_stored(
    text_base: Path, text_kb: Path, tmp_path: Path
) -> None:
    answerer = open_answerer(
        text_base,
        knowledge_base_path=text_kb,
        local_adapter_managing=True,
        local_adapter_manager_dir=tmp_path / "kept",
        local_adapter_manager_guard=True,
        local_adapter_manager_memory_mb=0,
    )
    decisions = [answerer.answer([QUERY], adapt=True)[0].trace["decision"] for _ in range(2)]
    assert decisions == ["train", "hit"]
    spoil(tmp_path / "kept", emptied)
    trace = answerer.answer([QUERY], adapt=True)[0].trace
    assert trace["decision"] == "train"
    assert trace["refused"]["loss"] == trace["refused"]["base_loss"], "as good as is not better"
    # without anything to ask about, likeness decides
    spoil(tmp_path / "kept", lambda one: _without_sample(emptied(one)))
    trace = answerer.answer([QUERY], adapt=True)[0].trace
    assert trace["decision"] == "hit" and "guard" not in trace


def _without_sample(adapter: AdapterFiles) -> AdapterFiles:
    own = {name: value for name, value in adapter.extra["store"].items() if name != "sample"}
    return dataclasses.replace(adapter, extra={**adapter.extra, "store": own})


def test_the_guards_loss_is_that_of_the_training(canvas_base: Path) -> None:
    """Of an item's last answer; one batch of it alone has the same loss before its first step."""
    how = {"steps": 1, "batch_size": 1, "num_pseudo": 1, "loss_on": "answer", "dtype": "fp32"}
    solver = open_solver(canvas_base, **how)
    solution = solved(solver, LIKE)
    item = solver._items([LIKE], 0, []).items[0]
    guard = Guard(solver.base, lambda: solver.adaptation.layout.bounds)
    verdict = guard.verdict(item.encoded, dict(solver.adapted([LIKE]))[0].adapter)
    assert verdict.base_loss == pytest.approx(solution.trace["losses"][0], rel=1e-3)
    assert verdict.loss < verdict.base_loss and verdict.beats


def test_samples_survive_being_stored() -> None:
    ids = np.arange(3, 9)
    labels = np.array([IGNORED, 4, IGNORED, IGNORED, 7, 8])
    sample = Encoded(ids, ids * 10, labels)
    told = sample_as_json(sample)
    again = sample_from_json(told)
    assert again is not None and again.labels.tolist() == [IGNORED] * 4 + [7, 8]
    assert np.array_equal(again.ids, ids) and np.array_equal(again.positions, ids * 10)
    for spoilt in (None, {}, told | {"answer_begins": 6}, told | {"ids": [1]}, told | {"ids": "x"}):
        assert sample_from_json(spoilt) is None
    silent = Encoded(ids, ids, np.full(6, IGNORED))
    assert first_sample([Item(silent), Item(sample)]) is sample and first_sample([]) is None


@pytest.mark.parametrize("mode", ["strict", "cohort"])
def test_a_warm_start_takes_fewer_steps_from_where_another_came_to(
    canvas_base: Path, tmp_path: Path, mode: str
) -> None:
    how = {"mode": mode, "cohort_dir": tmp_path / "shared", "cohort_items": 2, "dtype": "fp32"}
    near = {"local_adapter_manager_near_threshold": 0.0, "local_adapter_manager_warm_share": 0.3}
    solver = solver_of(canvas_base, tmp_path / "kept", **how, **near)
    tasks = [LIKE, ALSO_LIKE]
    cold = open_solver(canvas_base, **how).solve(tasks, adapt=True)[1].trace
    solver.solve(tasks, adapt=True)  # both in one call: neither can serve the other
    store = solver.adaptation.store
    assert store is not None
    (other,) = (e for e in store.entries() if e.usage.created == max(_created(store)))
    store.evict(other.id)
    first, second = (one.trace for one in solver.solve(tasks, adapt=True))
    warm = first if first["decision"] == "warm start" else second
    assert {first["decision"], second["decision"]} == {"hit", "warm start"}
    assert len(warm["losses"]) == math.ceil(0.3 * 24) < len(cold["losses"])
    assert warm["losses"][0] < cold["losses"][0] and "train" in warm["seconds"]


def test_a_merge_answers_and_is_guarded_as_a_whole(canvas_base: Path, tmp_path: Path) -> None:
    names = {"near_threshold": 0.0, "near": "merge", "guard": True}
    near = {f"local_adapter_manager_{name}": value for name, value in names.items()}
    solver = solver_of(canvas_base, tmp_path / "kept", **near)
    solver.solve([LIKE, ALSO_LIKE], adapt=True)
    ((_, merged),) = solver.adapted([small_task("t5", 3, demos=2)])
    assert merged.trace["decision"] == "merge" and merged.adapter is not None
    assert merged.adapter.rank == 8 * len(merged.trace["merged"]) == 16
    asked = merged.trace["guard"]
    assert asked["loss"] < asked["base_loss"]
    assert solved(solver, small_task("t5", 3, demos=2)).attempts


def _created(store: AdapterStore) -> list[float]:
    return [entry.usage.created for entry in store.entries()]


def test_a_truncated_adapter_is_said_dropped_and_trained_anew(
    canvas_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solver = solver_of(canvas_base, tmp_path / "kept", local_adapter_manager_memory_mb=0)
    solved(solver, LIKE)
    (entry,) = (tmp_path / "kept" / "entries").iterdir()
    (entry / WEIGHTS).write_bytes((entry / WEIGHTS).read_bytes()[:-9])
    assert solved(solver, LIKE).trace["decision"] == "train"
    assert "a damaged adapter is removed" in capsys.readouterr().err
    assert solved(solver, LIKE).trace["decision"] == "hit"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"local_adapter_manager_near_threshold": 0.9}, "is 0.9, above the 0.4 from which"),
        (
            {"local_adapter_manager_near_threshold": 0.1, "adapter_layers": "head"},
            "--adapter_layers head cannot begin from a kept adapter; use",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    canvas_base: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    keeping = {"local_adapter_managing": True, "local_adapter_manager_dir": tmp_path / "kept"}
    settings = Settings(model_path=str(canvas_base), **keeping, **changes)
    with pytest.raises(BadInput, match=reason):
        open_adaptation(settings, "arc")
    assert not list(tmp_path.iterdir())
