"""Scores, samples, forks and searches, each held to what full forwards say."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from test_decode import (
    FORM,
    PROMPTS,
    Line,
    Make,
    exact_norms,
    full_log_probs,
    gelu_llama,
    stirred,
    text,
    tokens_read,
)
from tiny_models import VOCABULARY, tiny_llama, tiny_qwen2

from arc.formats import Encoded
from hone.errors import BadInput
from models.decoding.choice import Sampling, drawn
from models.decoding.frontier import Frontier
from models.decoding.score import read_answers, score
from models.decoding.search import search
from models.decoding.write import Bounds, decode
from models.multilora.bank import AdapterBank

__all__ = ["exact_norms"]  # pytest takes the fixture from here
BOTH = pytest.mark.parametrize("make", [tiny_llama, gelu_llama])


def log_probs_of(model: Any, prompt: Encoded, tokens: list[int], form: Any = FORM) -> list[float]:
    if not tokens:
        return []
    found = full_log_probs(model, form, prompt, tokens)
    return [float(row[token]) for row, token in zip(found, tokens, strict=True)]


@BOTH
def test_scores_are_those_of_full_forwards(make: Make) -> None:
    model, rng = make(torch.float64), np.random.default_rng(1)
    answers = [
        [rng.integers(0, VOCABULARY, n).tolist() for n in lengths]
        for lengths in ((5, 1, 12), (), (3, 0), (7,))
    ]
    prompts, slots = [*PROMPTS, PROMPTS[0]], [1, 0, 2, 0]
    with stirred(model, 3) as bank:
        found = score(model, FORM, prompts, answers, slots=slots, bank=bank)
        for prompt, slot, own, values in zip(prompts, slots, answers, found, strict=True):
            for tokens, ours in zip(own, values, strict=True):
                with bank.rows([int(slot == one) for one in range(3)]):
                    assert np.allclose(ours, log_probs_of(model, prompt, tokens), atol=1e-9)
    base = score(model, FORM, prompts, answers)
    assert np.allclose(base[0][2], log_probs_of(model, PROMPTS[0], answers[0][2]), atol=1e-9)
    assert score(model, FORM, prompts, [[], [], [], [[]]]) == [[], [], [], [[]]]


def test_candidates_share_one_reading_of_their_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = tiny_llama(torch.float64), tokens_read(monkeypatch)
    answers = [[5, 1, 2], [5, 1, 2, 7], [4]]
    expected = [log_probs_of(model, PROMPTS[0], answer) for answer in answers]
    for budget in (4096, 1):  # at once, and piece by piece
        seen.clear()
        (found,) = score(model, FORM, PROMPTS[:1], [answers], bounds=Bounds(read=budget))
        assert sum(seen) == len(PROMPTS[0]) + 2 + 3  # nobody reads what follows the last token
        assert all(np.allclose(a, b, atol=1e-9) for a, b in zip(found, expected, strict=True))


@BOTH
def test_rows_are_forked_and_dropped(make: Make) -> None:
    """A random walk over frontiers; every row always says what a full forward would."""
    model, rng = make(torch.float64), np.random.default_rng(0)
    slots, prompts = [1, 0, 1], [text(9, 1), text(30, 2), text(9, 1)]
    written: list[tuple[int, list[int]]] = [(i, []) for i in range(3)]
    with stirred(model, 2) as bank:
        frontier = Frontier(model, prompts, slots=slots, bank=bank)
        for _ in range(6):
            for (i, tokens), log_probs in zip(written, frontier.log_probs, strict=True):
                with bank.rows([int(slots[i] == 0), int(slots[i] == 1)]):
                    expected = full_log_probs(model, Line(), prompts[i], [*tokens, 0])[-1]
                assert torch.allclose(log_probs, expected, atol=1e-9)
            rows = rng.integers(0, len(written), rng.integers(1, 7)).tolist()
            frontier.keep(rows)
            assert len(frontier) == len(rows)
            new = rng.integers(0, VOCABULARY, len(rows)).tolist()
            written = [
                (written[row][0], [*written[row][1], t]) for row, t in zip(rows, new, strict=True)
            ]
            places = [len(prompts[i]) + len(tokens) - 1 for i, tokens in written]
            frontier.extend(new, places)


def test_a_fork_shares_its_prompt() -> None:
    frontier: Any = Frontier(tiny_llama(torch.float64), [text(50)])
    frontier.keep([0] * 20)
    frontier.extend([1] * 20, [50] * 20)
    context = frontier.rows.context
    assert [len(one.keys[0]) for one in context.rectangles] == [1]
    assert len(context.own.keys[0]) == 20


@BOTH
@pytest.mark.parametrize("threshold", [0.01, 0.0005])
def test_the_search_finds_exactly_what_enumeration_finds(make: Make, threshold: float) -> None:
    model, room = make(torch.float64), 3
    sharpen(model)
    prompts, slots = [text(6, 1), text(11, 2), text(6, 1)], [0, 1, 1]
    with stirred(model, 2) as bank:
        found = search(model, Line(), prompts, [room] * 3, threshold, slots=slots, bank=bank)
        for prompt, slot, own in zip(prompts, slots, found, strict=True):
            expected = enumerated(bank, slot, prompt, room, threshold)
            assert {one.tokens for one in own} == set(expected)
            assert all(abs(o.log_probability - expected[o.tokens]) < 1e-9 for o in own)
            values = [one.log_probability for one in own]
            assert values == sorted(values, reverse=True)
    if threshold < 0.001:
        assert {len(one.tokens) for own in found for one in own} == {1, 2, 3}


def sharpen(model: Any) -> None:
    """A model that is surer of itself than random weights are."""
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(15.0)


def enumerated(
    bank: AdapterBank, slot: int, prompt: Encoded, room: int, threshold: float
) -> dict[tuple[int, ...], float]:
    """Every answer that there is in so much room, each scored by transformers as a whole."""
    others = [token for token in range(VOCABULARY) if token != Line.stop]
    found = {}
    for length in range(room):
        heads = list(itertools.product(others, repeat=length))
        ids = torch.tensor([[*prompt.ids, *head] for head in heads])
        counts = [len(ids) if slot == one else 0 for one in range(len(bank.specs))]
        with torch.inference_mode(), bank.rows(counts):
            out: Any = bank.model(ids, attention_mask=torch.ones_like(ids))
        all_log_probs = out.logits[:, len(prompt) - 1 :].log_softmax(-1).tolist()
        for head, log_probs in zip(heads, all_log_probs, strict=True):
            answer = (*head, Line.stop)
            total = sum(row[token] for row, token in zip(log_probs, answer, strict=True))
            if total > math.log(threshold):
                found[answer] = total
    return found


def test_answers_longer_than_the_room_are_not_found() -> None:
    model = tiny_llama(torch.float64)
    sharpen(model)
    long = search(model, Line(), [text(6, 1)], [4], 0.0005)[0]
    short = search(model, Line(), [text(6, 1)], [2], 0.0005)[0]
    assert max(len(one.tokens) for one in long) > 2
    assert [one.tokens for one in short] == [o.tokens for o in long if len(o.tokens) <= 2]
    assert search(model, Line(), [text(6, 1)], [0], 0.0005) == [[]]


def test_fewer_beginnings_are_alive_than_the_threshold_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, seen = tiny_llama(torch.float64), tokens_read(monkeypatch)
    search(model, Line(), [text(6, 1)], [20], 0.05)
    assert 0 < max(seen[1:]) < 20


@pytest.mark.parametrize("threshold", [0.0, 1.0, math.nan, -1.0])
def test_a_threshold_that_is_no_probability_is_refused(threshold: float) -> None:
    with pytest.raises(BadInput, match="threshold is"):
        search(tiny_llama(), Line(), [text(4)], [3], threshold)


def test_a_sample_depends_on_its_seed_and_on_nobody_beside_it() -> None:
    model, sampling = tiny_qwen2(torch.float64), Sampling(temperature=1.5, top_p=0.95)
    prompts, seeds = [text(9, 1)] * 6 + [text(20, 2)], [1, 2, 3, 4, 5, 1, 1]

    def written(chosen: list[int]) -> list[list[int]]:
        rows = decode(
            model,
            Line(),
            [prompts[i] for i in chosen],
            [12] * len(chosen),
            sampling=sampling,
            seeds=[seeds[i] for i in chosen],
        )
        return [row.tokens for row in rows]

    together = written(list(range(7)))
    assert together[0] == together[5] and len({tuple(one) for one in together[:5]}) > 2
    assert [written([i])[0] for i in range(7)] == together
    assert written([6, 2, 0]) == [together[6], together[2], together[0]]


def test_a_sample_says_how_likely_the_model_itself_finds_it() -> None:
    model = tiny_llama(torch.float64)
    (row,) = decode(model, FORM, PROMPTS[:1], [8], sampling=Sampling(0.5, top_k=4), seeds=[3])
    assert abs(sum(log_probs_of(model, PROMPTS[0], row.tokens)) - row.log_probability) < 1e-9


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0.5, 0.1, 0.3, 0.1]),
        (Sampling(temperature=0.5), [25 / 36, 1 / 36, 9 / 36, 1 / 36]),
        (Sampling(top_k=2), [5 / 8, 0, 3 / 8, 0]),
        (Sampling(top_p=0.6), [5 / 8, 0, 3 / 8, 0]),
        (Sampling(top_p=0.4), [1, 0, 0, 0]),
        (Sampling(top_k=100), [0.5, 0.1, 0.3, 0.1]),
    ],
)
def test_tokens_come_as_often_as_they_are_likely(sampling: Sampling, expected: list[float]) -> None:
    many = 4000
    log_probs = torch.tensor([0.5, 0.1, 0.3, 0.1]).log().expand(many, 4)
    counted = Counter(drawn(log_probs, sampling, [Random(i) for i in range(many)]).tolist())
    shares = [counted[token] / many for token in range(4)]
    assert np.allclose(shares, expected, atol=0.03)
    assert [share == 0 for share in shares] == [chance == 0 for chance in expected]


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"temperature": math.nan}, {"top_k": -1}, {"top_p": 0.0}]
)
def test_what_cannot_be_drawn_from_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Sampling(**wrong)


class OnlyEven:
    """A grammar of even tokens, and of the stop token after the second."""

    def __init__(self, written: int = 0) -> None:
        self.written = written

    @property
    def allowed(self) -> tuple[int, ...]:
        return (*range(0, VOCABULARY, 2), *([Line.stop] if self.written > 1 else []))

    def after(self, token: int) -> OnlyEven:
        return OnlyEven(self.written + 1)


@BOTH
def test_a_guess_changes_nothing_of_what_is_found(make: Make) -> None:
    model = make(torch.float64)
    sharpen(model)
    prompts, slots, rooms = [text(6, 1), text(70, 2), text(6, 1)], [0, 1, 1], [4, 5, 3]
    rng = np.random.default_rng(0)
    with stirred(model, 2) as bank:
        plain = search(model, Line(), prompts, rooms, 0.002, slots=slots, bank=bank)
        likely = [list(own[0].tokens) if own else [] for own in plain]
        wild = [rng.integers(0, VOCABULARY, n).tolist() for n in (9, 2, 0)]
        for guesses in (likely, wild, [likely[0], [], wild[0]]):
            for bounds in (Bounds(), Bounds(kept=1, read=1)):
                found = search(
                    model,
                    Line(),
                    prompts,
                    rooms,
                    0.002,
                    guesses=guesses,
                    slots=slots,
                    bank=bank,
                    bounds=bounds,
                )
                for ours, theirs in zip(found, plain, strict=True):
                    assert [one.tokens for one in ours] == [one.tokens for one in theirs]
                    values = [[one.log_probability for one in own] for own in (ours, theirs)]
                    assert np.allclose(*values, atol=1e-9)


def test_what_is_guessed_rightly_is_not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_llama(torch.float64)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(400.0)  # sure of every token
    (row,) = decode(model, Line(), [text(6, 1)], [12])
    seen = tokens_read(monkeypatch)
    plain = search(model, Line(), [text(6, 1)], [12], 0.4)
    steps = len(seen)
    seen.clear()
    guessed = search(model, Line(), [text(6, 1)], [12], 0.4, guesses=[row.tokens])
    assert [[o.tokens for o in own] for own in guessed] == [[o.tokens for o in plain[0]]]
    assert len(seen) == 1 < steps


def test_the_search_keeps_to_its_grammar() -> None:
    model = tiny_llama(torch.float64)
    sharpen(model)
    prompts = [text(6, 1), text(11, 2)]
    free = search(model, Line(), prompts, [3, 3], 0.0002)
    for guesses in ([], [[5, 5, 5], [2, 2, 3]]):
        held = search(
            model, Line(), prompts, [3, 3], 0.0002, guesses=guesses, grammars=[OnlyEven()] * 2
        )
        expected = [
            [o.tokens for o in own if len(o.tokens) == 3 and all(t % 2 == 0 for t in o.tokens[:2])]
            for own in free
        ]
        assert [[one.tokens for one in own] for own in held] == expected
        assert any(expected)


@BOTH
def test_rows_keep_to_their_grammars(make: Make) -> None:
    """The likeliest of what is allowed, or drawn from it; how likely is the model's own word."""
    model = make(torch.float64)
    prompts, sampling = [text(9, 1)] * 3, Sampling(2.0)
    grammars = [OnlyEven()] * 3
    rows = decode(
        model, Line(), prompts, [6] * 3, sampling=sampling, seeds=[None, 1, 2], grammars=grammars
    )
    greedy = decode(model, Line(), prompts[:1], [6], grammars=grammars[:1])[0]
    assert rows[0].tokens == greedy.tokens and len({tuple(row.tokens) for row in rows}) > 1
    for row in rows:
        assert all(token % 2 == 0 or token == Line.stop for token in row.tokens)
        assert Line.stop not in row.tokens[:2]
        own = log_probs_of(model, prompts[0], row.tokens, Line())
        assert abs(sum(own) - row.log_probability) < 1e-9
    first = full_log_probs(model, Line(), prompts[0], greedy.tokens)[0]
    assert greedy.tokens[0] == max(range(0, VOCABULARY, 2), key=lambda token: first[token])


@BOTH
def test_the_likeliest_tokens_at_every_place(make: Make) -> None:
    model = make(torch.float64)
    prompts, answers = [text(9, 1), text(20, 2)], [[[4, 5], [4]], [[7, 8, 9]]]
    for bounds in (Bounds(), Bounds(kept=1)):
        found = read_answers(model, Line(), prompts, answers, likeliest=3, bounds=bounds)
        for prompt, own, read in zip(prompts, answers, found, strict=True):
            for tokens, places in zip(own, read, strict=True):
                best = full_log_probs(model, Line(), prompt, tokens).topk(3)
                for place, names, values in zip(places, best.indices, best.values, strict=True):
                    assert [token for token, _ in place.likeliest] == names.tolist()
                    assert np.allclose([value for _, value in place.likeliest], values, atol=1e-9)
