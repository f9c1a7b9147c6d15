"""Listeners hear of each token as it is written, and may end their row, but no other."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from test_decode import TEXTS, Line, full_log_probs, gelu_llama
from tiny_models import tiny_llama

from models.decoding.choice import Sampling
from models.decoding.places import Place
from models.decoding.write import decode

ROOM = 12


@dataclass
class Ear:
    likeliest: int = 0
    ends_at: int = ROOM + 1  # tokens
    heard: list[tuple[int, Place]] = field(default_factory=list)

    def hear(self, token: int, place: Place) -> bool:
        self.heard.append((token, place))
        return len(self.heard) < self.ends_at


@pytest.mark.parametrize("make", [tiny_llama, gelu_llama])
@pytest.mark.parametrize("temperature", [None, 3.0])
def test_they_hear_the_models_own_probabilities(make, temperature):  # type: ignore[no-untyped-def]
    model, ears = make(torch.float64), [Ear(likeliest=3) for _ in TEXTS]
    rows = decode(
        model,
        Line(),
        TEXTS,
        [ROOM] * len(TEXTS),
        sampling=None if temperature is None else Sampling(temperature),
        seeds=range(len(TEXTS)),
        listeners=ears,
    )
    for prompt, row, ear in zip(TEXTS, rows, ears, strict=True):
        assert [token for token, _ in ear.heard] == row.tokens
        expected = full_log_probs(model, Line(), prompt, row.tokens)
        best = expected.topk(3)
        for i, (token, place) in enumerate(ear.heard):
            assert place.log_probability == pytest.approx(float(expected[i, token]), abs=1e-6)
            assert [one for one, _ in place.likeliest] == best.indices[i].tolist()
            values = [value for _, value in place.likeliest]
            assert values == pytest.approx(best.values[i].tolist(), abs=1e-6)


def test_one_ends_its_row_and_no_other() -> None:
    model = tiny_llama(torch.float64)
    plain = decode(model, Line(), TEXTS, [ROOM] * len(TEXTS))
    ears = [Ear(ends_at=2), *(Ear() for _ in TEXTS[1:])]
    rows = decode(model, Line(), TEXTS, [ROOM] * len(TEXTS), listeners=ears)
    assert rows[0].tokens == plain[0].tokens[:2]
    assert [row.tokens for row in rows[1:]] == [row.tokens for row in plain[1:]]
    assert [len(ear.heard) for ear in ears] == [len(row.tokens) for row in rows]
    assert not any(place.likeliest for ear in ears for _, place in ear.heard)


def test_one_that_raises_leaves_the_model_as_it_was() -> None:
    class Gone(Ear):
        def hear(self, token: int, place: Place) -> bool:
            raise KeyboardInterrupt

    model = tiny_llama(torch.float64)
    plain = decode(model, Line(), TEXTS[:1], [ROOM])
    with pytest.raises(KeyboardInterrupt):
        decode(model, Line(), TEXTS[:1], [ROOM], listeners=[Gone()])
    assert decode(model, Line(), TEXTS[:1], [ROOM])[0].tokens == plain[0].tokens
