"""Scores given answers: the log-probability of each of their tokens.

score(model, form, prompts, answers, slots=slots, bank=bank)[i][j]   # one float per token
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from arc.formats import Encoded
from models.decoding.places import Place
from models.decoding.write import UNBOUNDED, Bounds, Writing, waves

if TYPE_CHECKING:
    from models.multilora.bank import AdapterBank

Answers = Sequence[Sequence[Sequence[int]]]  # [prompt][answer][token]


def score(
    model: nn.Module,
    form: Writing,
    prompts: Sequence[Encoded],
    answers: Answers,
    *,
    slots: Sequence[int] | None = None,
    bank: AdapterBank | None = None,
    bounds: Bounds = UNBOUNDED,
) -> list[list[list[float]]]:
    """The log-probability of every token of the `answers[i]` after `prompts[i]`, by the adapter in
    slot `slots[i]`; without a bank, by the base. A prompt is read once for all its answers."""
    found = read_answers(model, form, prompts, answers, slots=slots, bank=bank, bounds=bounds)
    return [[[place.log_probability for place in one] for one in own] for own in found]


def read_answers(
    model: nn.Module,
    form: Writing,
    prompts: Sequence[Encoded],
    answers: Answers,
    *,
    slots: Sequence[int] | None = None,
    bank: AdapterBank | None = None,
    likeliest: int = 0,
    bounds: Bounds = UNBOUNDED,
) -> list[list[list[Place]]]:
    """The same as `score`, with the `likeliest` likeliest tokens at every place."""
    from models.decoding.causal_rows import read_causal
    from models.decoding.llama_scores import read_llama
    from models.multilora.decoder import runs_packed

    own = [0] * len(prompts) if slots is None or bank is None else list(slots)
    result: list[list[list[Place]]] = [[[] for _ in ones] for ones in answers]
    kind: Callable[..., list[list[list[Place]]]] = read_causal
    if runs_packed(model):
        kind = partial(read_llama, token_budget=bounds.read)
    asked = [i for i, ones in enumerate(answers) if any(map(len, ones))]
    for wave in waves(asked, [_tokens(prompts[i], answers[i]) for i in asked], bounds.kept):
        given = [[one for one in answers[i] if len(one)] for i in wave]
        placed = [
            [_placed(form, prompts[i], one) for one in ones]
            for i, ones in zip(wave, given, strict=True)
        ]
        read = kind(
            model,
            bank,
            [prompts[i] for i in wave],
            placed,
            [own[i] for i in wave],
            likeliest,
        )
        for i, ones in zip(wave, read, strict=True):
            found = iter(ones)
            result[i] = [next(found) if len(one) else [] for one in answers[i]]
    return result


def _tokens(prompt: Encoded, answers: Sequence[Sequence[int]]) -> int:
    """Tokens in memory at once at most, as if each answer had a prompt of its own before it."""
    return sum(len(prompt) + len(answer) for answer in answers)


def _placed(form: Writing, prompt: Encoded, answer: Sequence[int]) -> Encoded:
    """The answer's tokens at the positions that follow their prompt."""
    cursor, ids = form.cursor(prompt), np.array(answer, dtype=np.int64)
    positions = np.array([cursor.advance(token) for token in ids.tolist()], dtype=np.int64)
    return Encoded(ids, positions, ids)
