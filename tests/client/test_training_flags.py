"""Every flag of CT3's client changes what is trained, down to the adapter's bytes: text and ARC."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_bases import small_task, write_tasks

from client.adaptation import Adapted
from client.arc_solver import ArcSolver
from client.jobs import Job, evened
from client.opening import open_adaptation
from client.sample_weights import sample_weights
from client.settings import Settings
from client.text_answerer import TextAnswerer
from kb import build_kb
from kb.wire import Hit

torch.set_num_threads(1)
QUERY = "what colour is the sky ?"
USUAL: dict[str, Any] = {
    **{"num_ttt_samples": 3, "num_epochs": 1, "batch_size": 2, "learning_rate": 1e-2},
    **{"lora_rank": 4, "lora_alpha": 8.0, "num_pseudo": 4, "only_faiss": True, "k": 1},
}
CHANGES: list[dict[str, Any]] = [
    {"num_ttt_samples": 2},
    {"num_epochs": 2},
    {"learning_rate": 2e-2},
    {"batch_size": 1},
    {"lora_rank": 2},
    {"lora_alpha": 4.0},
    {"target_modules": ("q_proj", "v_proj")},
    {"data_reduction": True, "data_reduction_rule": "ct3"},
    {"shuffle_ttt_samples": True},
    {"weighted_sample_training": True},
    {"loss_on": "all"},
]
Train = Callable[..., tuple[Adapted, Job]]


@pytest.fixture(scope="module")
def train_text(text_base: Path, text_kb: Path) -> Iterator[Train]:
    settings = Settings(model_path=str(text_base), knowledge_base_path=text_kb, **USUAL)
    with open_adaptation(settings, "text") as opened:

        def train(**changes: Any) -> tuple[Adapted, Job]:
            chosen = dataclasses.replace(settings, **changes)
            answerer = TextAnswerer(dataclasses.replace(opened, settings=chosen), 2)
            ((_, job),) = answerer.plan([QUERY])
            assert job is not None
            (adapted,) = answerer.adaptation.adapt([QUERY], lambda _, hits: answerer._items(hits))
            return adapted, job

        yield train


@pytest.fixture(scope="module")
def unlike_kb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tasks that are not equally like the one that is asked: of other numbers of demos."""
    folder = tmp_path_factory.mktemp("unlike_kb")
    tasks = [small_task(f"known{n}", n, demos=n) for n in (2, 4, 5, 6, 7)]
    known = write_tasks(folder / "known", tasks)
    build_kb.main(["--datasets", str(known), "--save_dir", str(folder / "kb")])
    return folder / "kb"


@pytest.fixture(scope="module")
def train_arc(canvas_base: Path, unlike_kb: Path) -> Iterator[Train]:
    settings = Settings(model_path=str(canvas_base), knowledge_base_path=unlike_kb, **USUAL)
    with open_adaptation(settings, "arc") as opened:

        def train(**changes: Any) -> tuple[Adapted, Job]:
            chosen = dataclasses.replace(settings, **changes)
            solver = ArcSolver(dataclasses.replace(opened, settings=chosen))
            ((_, job),) = solver.plan([small_task("t", 3)])
            assert job is not None
            ((_, adapted),) = solver.adapted([small_task("t", 3)])
            return adapted, job

        yield train


@pytest.fixture(params=["text", "arc"])
def train(request: pytest.FixtureRequest) -> Train:
    found: Train = request.getfixturevalue(f"train_{request.param}")
    return found


def content(adapted: Adapted) -> dict[str, tuple[bytes, ...]]:
    assert adapted.adapter is not None
    tensors = adapted.adapter.tensors.items()
    return {name: tuple(part.numpy().tobytes() for part in pair) for name, pair in tensors}


def test_the_same_flags_give_the_same_bytes(train: Train) -> None:
    assert content(train()[0]) == content(train()[0])


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_every_flag_changes_the_adapter(train: Train, change: dict[str, Any]) -> None:
    assert content(train()[0]) != content(train(**change)[0])


def test_data_reduction_leaves_items_out(train: Train) -> None:
    names = [
        {item.name.split()[0] for item in train(**how)[1].items}
        for how in ({}, {"data_reduction": True, "data_reduction_rule": "ct3"})
    ]
    assert names[1] < names[0]


def test_without_shuffling_items_come_nearest_first_each_epoch(train: Train) -> None:
    """A task's own are nearest of all."""

    def drawn(**how: Any) -> list[str]:
        job = train(num_epochs=2, num_ttt_samples=5, **how)[1]
        batches = job.batches()
        return [item.name for _ in range(job.steps) for item in next(batches)]

    plain, names = drawn(), [item.name for item in train(num_ttt_samples=5)[1].items]
    shuffled = drawn(shuffle_ttt_samples=True)
    epoch = len(names)
    assert plain[:epoch] == plain[epoch : 2 * epoch] == names
    assert sorted(shuffled[:epoch]) == sorted(names) != shuffled[:epoch]
    assert names != shuffled[:epoch] != shuffled[epoch : 2 * epoch]


def test_weights_have_a_mean_of_one_whatever_is_weighed(train: Train) -> None:
    for how in ({}, {"weighted_sample_training": True}):
        weights = [item.weight for item in train(**how)[1].items]
        assert sum(weights) / len(weights) == pytest.approx(1)
    assert len(set(weights)) > 1


def test_a_sample_alone_in_its_step_counts_for_its_weight(train_text: Train) -> None:
    """As in CT3, whose batches are of one: the loss that a step reports is weight times loss."""
    plain, weighted = (
        train_text(batch_size=1, learning_rate=1e-12, weighted_sample_training=by)
        for by in (False, True)
    )
    weights = [item.weight for item in weighted[1].items]
    alone, told = (adapted.trace["losses"] for adapted, _ in (plain, weighted))
    assert told == pytest.approx([w * x for w, x in zip(weights, alone, strict=True)], rel=1e-3)
    assert max(weights) > 1.05 > 0.95 > min(weights)


def hits(*scores: float, multiplicity: int = 1) -> list[Hit]:
    told: dict[str, Any] = {"source": "s", "kind": "text", "prompt": "p", "answer": "a"}
    return [Hit(id=i, score=s, multiplicity=multiplicity, **told) for i, s in enumerate(scores)]


def test_weights_are_shares_of_similarity() -> None:
    assert sample_weights(hits(0.9, 0.3), by_similarity=True) == pytest.approx([1.5, 0.5])
    assert sample_weights(hits(0.9, 0.3), by_similarity=False) == [1, 1]
    assert sample_weights(hits(0.5, -0.5), by_similarity=True) == pytest.approx([2, 0])
    assert sample_weights(hits(-0.5, -0.1), by_similarity=True) == [1, 1]
    assert sample_weights([], by_similarity=True) == []
    twice = [*hits(0.9, multiplicity=2), *hits(0.6)]  # 0.9, 0.9, 0.6: a mean of 0.8
    assert sample_weights(twice, by_similarity=True) == pytest.approx([1.125, 0.75])


def test_weights_of_nothing_stay_nothing() -> None:
    from tiny_models import random_item

    items = [random_item(5, i, 0.0) for i in range(2)]
    assert [item.weight for item in evened(items)] == [0, 0]
