"""--data_reduction: what stays, by either rule, and that training is shorter for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from client.opening import open_adaptation
from client.reduction import RULES, reduced
from client.settings import Settings
from client.text_answerer import TextAnswerer
from kb.wire import Hit

torch.set_num_threads(1)
QUERY = "what colour is the sky ?"


def _hits(*scores: float) -> list[Hit]:
    told: dict[str, Any] = {"source": "s", "kind": "text", "prompt": "p", "answer": "a"}
    return [Hit(id=i, score=score, **told) for i, score in enumerate(scores)]


def _kept(rule: str, *scores: float) -> list[float]:
    return [hit.score for hit in reduced(_hits(*scores), rule)]


def test_relative_keeps_what_is_nearly_as_near_as_the_nearest() -> None:
    assert _kept("relative", 0.9, 0.75, 0.71, 0.3) == [0.9, 0.75]
    assert _kept("relative", 0.9, 0.89, 0.88, 0.87) == [0.9, 0.89, 0.88, 0.87]
    assert _kept("relative", 0.9, 0.2, 0.2, 0.2) == [0.9]
    assert _kept("relative", 0.3, 0.9, 0.8) == [0.9, 0.8]  # SIFT's order is not by score
    assert _kept("relative", -0.1, -0.2) == [-0.1]


def test_ct3_keeps_what_is_above_mean_or_median() -> None:
    assert _kept("ct3", 0.9, 0.8, 0.7, 0.6) == [0.9, 0.8]
    assert _kept("ct3", 0.9, 0.2, 0.2, 0.2) == [0.9]
    assert _kept("ct3", 0.9, 0.89, 0.88, 0.87) == [0.9, 0.89]  # half goes, however near it is


@pytest.mark.parametrize("rule", RULES)
def test_something_always_stays(rule: str) -> None:
    assert _kept(rule) == []
    assert _kept(rule, 0.4) == [0.4]
    assert _kept(rule, 0.5, 0.5, 0.5) == [0.5, 0.5, 0.5]


def _trace(base: Path, kb: Path, query: str = QUERY, **changes: Any) -> dict[str, Any]:
    settings = Settings(
        model_path=str(base),
        knowledge_base_path=kb,
        num_ttt_samples=6,
        num_epochs=1,
        lora_rank=4,
        **changes,
    )
    with open_adaptation(settings, "text") as adaptation:
        (answer,) = TextAnswerer(adaptation, 2).answer([query], adapt=True)
    return answer.trace


def test_fewer_samples_are_fewer_steps(text_base: Path, text_kb: Path) -> None:
    every = _trace(text_base, text_kb, only_faiss=True)
    scores = [hit["score"] for hit in every["retrieved"]]
    assert len(every["losses"]) == len(scores) > 2 and every["reduced"] == 0
    for rule in RULES:
        told: dict[str, Any] = {"data_reduction": True, "data_reduction_rule": rule}
        trace = _trace(text_base, text_kb, only_faiss=True, **told)
        kept = [hit.score for hit in reduced(_hits(*scores), rule)]
        assert [hit["score"] for hit in trace["retrieved"]] == kept
        assert len(trace["losses"]) == len(kept) < len(scores)
        assert trace["reduced"] == len(scores) - len(kept)


def test_more_noise_repeats_samples_that_are_near(text_base: Path, text_kb: Path) -> None:
    counts, query = [], "what colour are roses in the snow ?"  # a record itself would tell all
    for noise in (0.01, 100.0):
        trace = _trace(text_base, text_kb, query, sift_noise=noise)
        counts.append([hit["multiplicity"] for hit in trace["retrieved"]])
        assert sum(counts[-1]) == len(trace["losses"])
    assert max(counts[0]) < max(counts[1])


def test_sift_may_end_early(text_base: Path, text_kb: Path) -> None:
    steps = [len(_trace(text_base, text_kb, sift_stop=stop)["losses"]) for stop in (0, 0.01, 0.9)]
    assert steps[0] == 6 and steps == sorted(steps, reverse=True) and steps[2] < 3
