"""Every flag of CT3's local adapter manager changes which adapter answers, down to its bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training_flags import USUAL, content

from client.adaptation import Adapted
from client.opening import open_adaptation, open_store
from client.settings import Settings
from client.text_answerer import TextAnswerer

torch.set_num_threads(1)
SKY, LIKE_SKY = "what colour is the sky ?", "what colour is the rose ?"
SPIDER, SUM = "how many legs has a spider ?", "what is 12 times 12 ?"
KEEPING = {"local_adapter_managing": True, "local_adapter_manager_threshold": 0.4}
Ask = Callable[..., list[Adapted]]


@pytest.fixture(scope="module")
def ask(text_base: Path, text_kb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    settings = Settings(
        model_path=str(text_base),
        knowledge_base_path=text_kb,
        **{**USUAL, "steps": 2, "num_ttt_samples": 1},
    )
    with open_adaptation(settings, "text") as opened:

        def one_after_another(*queries: str, **changes: Any) -> list[Adapted]:
            """In a store of its own, unless one is named."""
            place = {"local_adapter_manager_dir": tmp_path_factory.mktemp("adapters")}
            chosen = dataclasses.replace(settings, **{**place, **changes})
            adaptation = dataclasses.replace(opened, settings=chosen, store=open_store(chosen))
            answerer = TextAnswerer(adaptation, 2)
            return [own for query in queries for _, own in answerer.adapted([query])]

        yield one_after_another


def test_managing_answers_a_like_query_with_the_adapter_that_is_there(ask: Ask) -> None:
    first, second = ask(SKY, LIKE_SKY, **KEEPING)
    alone, own = ask(SKY, LIKE_SKY)
    assert content(first) == content(second) == content(alone) != content(own)


def test_the_threshold_says_what_is_like(ask: Ask) -> None:
    first, second = ask(SKY, LIKE_SKY, **{**KEEPING, "local_adapter_manager_threshold": 0.999})
    assert content(first) != content(second) == content(ask(LIKE_SKY)[0])
    far, unlike = ask(SKY, SPIDER, **{**KEEPING, "local_adapter_manager_threshold": 0.0})
    assert content(far) == content(unlike)


def test_the_size_says_how_many_stay(ask: Ask) -> None:
    for size, stays in ((2, True), (1, False)):
        first, _, last = ask(SKY, SPIDER, LIKE_SKY, **KEEPING, local_adapter_manager_size=size)
        assert (content(first) == content(last)) == stays
        assert last.trace["decision"] == ("hit" if stays else "train")


def test_the_strategy_says_who_goes(ask: Ask) -> None:
    """LFU keeps what was used; at random it goes in about every second store."""

    def stayed(strategy: str, seed: int) -> bool:
        full = {"local_adapter_manager_size": 2, "local_adapter_manager_strategy": strategy}
        first, *_, last = ask(SKY, SPIDER, SKY, SKY, SUM, LIKE_SKY, **KEEPING, **full, seed=seed)
        assert (content(first) == content(last)) == (last.trace["decision"] == "hit")
        return last.trace["decision"] == "hit"

    assert all(stayed("lfu", seed) for seed in range(2))
    assert not all(stayed("random", seed) for seed in range(8))


def test_another_folder_is_another_store(ask: Ask, tmp_path: Path) -> None:
    here = {**KEEPING, "local_adapter_manager_dir": tmp_path / "here"}
    (first,), (again,) = ask(SKY, **here), ask(LIKE_SKY, **here)
    (elsewhere,) = ask(LIKE_SKY, **KEEPING)
    assert content(first) == content(again) != content(elsewhere)
