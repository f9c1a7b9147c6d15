"""Finds all answers to which a model gives at least a certain probability.

Every beginning of such an answer is at least as probable as the answer, so a beginning is extended
token by token for as long as its probability is above the threshold. Beginnings that differ exclude
each other, so fewer than 1 / threshold of them are alive at a time for one prompt. The beginnings
of all prompts are therefore extended together, one token at a time, where a depth-first search
would follow them one by one.

A guess at an answer does not change what is found, but saves steps: the guess is read as a whole,
and only beginnings that depart from it are followed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from arc.formats import Cursor, Encoded
from arc.grammar import Grammar
from hone.errors import BadInput
from models.decoding.choice import narrowed
from models.decoding.frontier import Frontier
from models.decoding.places import Place
from models.decoding.score import read_answers
from models.decoding.write import UNBOUNDED, Bounds, Writing, waves

if TYPE_CHECKING:
    from models.multilora.bank import AdapterBank


@dataclass(frozen=True)
class Found:
    tokens: tuple[int, ...]  # with the stop token as the last
    log_probability: float


@dataclass(frozen=True)
class _Beginning:
    prompt: int
    cursor: Cursor
    grammar: Grammar | None  # what tokens may follow; None: any
    tokens: tuple[int, ...] = ()
    places: tuple[int, ...] = ()  # their positions
    log_probability: float = 0.0

    def with_token(self, token: int, log_probability: float) -> _Beginning:
        """The beginning with one more token; `log_probability` is that of the whole."""
        cursor, grammar = deepcopy(self.cursor), self.grammar and self.grammar.after(token)
        places = (*self.places, cursor.advance(token))
        tokens = (*self.tokens, token)
        return _Beginning(self.prompt, cursor, grammar, tokens, places, log_probability)

    def allows(self, token: int) -> bool:
        return self.grammar is None or token in self.grammar.allowed

    def behind(self, prompt: Encoded) -> Encoded:
        ids = np.append(prompt.ids, np.array(self.tokens, dtype=np.int64))
        positions = np.append(prompt.positions, np.array(self.places, dtype=np.int64))
        return Encoded(ids, positions, ids)


def search(
    model: nn.Module,
    form: Writing,
    prompts: Sequence[Encoded],
    rooms: Sequence[int],
    threshold: float,
    *,
    guesses: Sequence[Sequence[int]] = (),
    grammars: Sequence[Grammar] = (),
    slots: Sequence[int] | None = None,
    bank: AdapterBank | None = None,
    bounds: Bounds = UNBOUNDED,
) -> list[list[Found]]:
    """For every prompt, all answers that are more probable than the threshold, the most probable
    first. An answer ends with the format's stop token, within the prompt's room, and its grammar
    allows it. An empty guess stands for none."""
    if not 0 < threshold < 1:
        raise BadInput(f"threshold is {threshold}; give a probability above 0 and below 1")
    # `most`: beginnings of one prompt that can be alive at a time
    least, most = math.log(threshold), math.ceil(1 / threshold)
    asked = _Asked(model, form, prompts, slots, bank, bounds)
    found = _Answers([[] for _ in prompts], rooms, form.stop)
    alive = [
        _Beginning(i, form.cursor(prompt), grammars[i] if grammars else None)
        for i, prompt in enumerate(prompts)
        if rooms[i] > 0
    ]
    if guesses:
        within = [guess[:room] for guess, room in zip(guesses, rooms, strict=True)]
        places = asked.read(within, most)
        begun = (_departures(o, within[o.prompt], places[o.prompt], least) for o in alive)
        alive = [one for own in begun for one in own if found.goes_on(one)]
    tokens = [len(prompts[one.prompt]) + most * rooms[one.prompt] for one in alive]
    for wave in waves(range(len(alive)), tokens, bounds.kept):
        here = [alive[i] for i in wave]
        _follow(asked.frontier(here), here, least, found)
    return found.best_first()


@dataclass(frozen=True)
class _Asked:
    """The prompts, and the model and slots that answer them."""

    model: nn.Module
    form: Writing
    prompts: Sequence[Encoded]
    slots: Sequence[int] | None
    bank: AdapterBank | None
    bounds: Bounds

    def read(self, guesses: Sequence[Sequence[int]], likeliest: int) -> list[list[Place]]:
        """The places of one guess after each prompt."""
        found = read_answers(
            self.model,
            self.form,
            self.prompts,
            [[guess] for guess in guesses],
            slots=self.slots,
            bank=self.bank,
            likeliest=likeliest,
            bounds=self.bounds,
        )
        return [places for (places,) in found]

    def frontier(self, begun: Sequence[_Beginning]) -> Frontier:
        return Frontier(
            self.model,
            [one.behind(self.prompts[one.prompt]) for one in begun],
            slots=None if self.slots is None else [self.slots[one.prompt] for one in begun],
            bank=self.bank,
            token_budget=self.bounds.read,
        )


@dataclass(frozen=True)
class _Answers:
    """The answers found so far."""

    found: list[list[Found]]  # for each prompt
    rooms: Sequence[int]
    stop: int

    def goes_on(self, one: _Beginning) -> bool:
        """Whether the beginning is to be extended. It is not where it is an answer, which is then
        kept, or has no room for more tokens."""
        if one.tokens[-1:] == (self.stop,):
            self.found[one.prompt].append(Found(one.tokens, one.log_probability))
            return False
        return len(one.tokens) < self.rooms[one.prompt]

    def best_first(self) -> list[list[Found]]:
        return [sorted(own, key=lambda one: -one.log_probability) for own in self.found]


def _departures(
    here: _Beginning, guess: Sequence[int], places: Sequence[Place], least: float
) -> Iterator[_Beginning]:
    """The beginnings that follow the guess and then depart from it, for as long as the guess itself
    is probable enough; last the whole guess, if it still is."""
    for token, place in zip(guess, places, strict=True):
        for other, value in place.likeliest:
            both = here.log_probability + value
            if other != token and both > least and here.allows(other):
                yield here.with_token(other, both)
        both = here.log_probability + place.log_probability
        if both <= least or not here.allows(token):
            return
        here = here.with_token(token, both)
    yield here


def _follow(frontier: Frontier, alive: Sequence[_Beginning], least: float, found: _Answers) -> None:
    while alive:
        longer = [
            (row, alive[row].with_token(token, both))
            for row, token, both in _steps(frontier.log_probs, alive, least)
        ]
        going = [(row, one) for row, one in longer if found.goes_on(one)]
        alive = [one for _, one in going]
        if alive:
            frontier.keep([row for row, _ in going])
            frontier.extend([one.tokens[-1] for one in alive], [one.places[-1] for one in alive])


_Step = tuple[int, int, float]  # row of a beginning, its next token, the log-probability with it


@torch.inference_mode()
def _steps(log_probs: torch.Tensor, alive: Sequence[_Beginning], least: float) -> list[_Step]:
    names = None
    grammars = [one.grammar for one in alive if one.grammar is not None]
    if grammars:
        log_probs, names = narrowed(log_probs, grammars)
    before = torch.tensor([one.log_probability for one in alive], dtype=torch.float64)
    both = log_probs.double() + before.to(log_probs.device)[:, None]
    rows, columns = (both > least).nonzero(as_tuple=True)
    tokens = columns if names is None else names[rows, columns]
    return list(zip(rows.tolist(), tokens.tolist(), both[rows, columns].tolist(), strict=True))
