"""Answers to many prompts by many adapters, all rows one token at a time.

Every row's next position comes from its own cursor, because on a canvas the next token does not
always stand one to the right. Rows that are done leave as soon as it pays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from arc.formats import Cursor, Encoded
from arc.grammar import Grammar
from models.decoding.choice import Sampling, drawn, likeliest, narrowed
from models.decoding.frontier import Frontier
from models.decoding.places import Place, likeliest_of
from models.decoding.prefill import TOKEN_BUDGET

if TYPE_CHECKING:
    from models.multilora.bank import AdapterBank

LEAVING = 8  # rows that are done leave when they are one in so many


@dataclass(frozen=True)
class Bounds:
    """Most tokens that stand in memory at once. What a row writes does not depend on them, beyond
    rounding."""

    kept: int = 0  # of prompts and what is written after them; rows above it wait; 0: of all
    read: int = TOKEN_BUDGET  # of prompts, while they are read


UNBOUNDED = Bounds()


class Writing(Protocol):
    """What decoding needs of a format."""

    stop: int

    def cursor(self, prompt: Encoded) -> Cursor: ...


class Listener(Protocol):
    """Hears of a row's tokens as they are written."""

    likeliest: int  # of how many of the likeliest at every place, beside the one that was chosen

    def hear(self, token: int, place: Place) -> bool:
        """Whether the row may go on."""
        ...


@dataclass
class Written:
    """What a row has written so far, with the log-probability of all of it."""

    cursor: Cursor
    room: int  # tokens that it may write
    stream: Random | None = None  # what it draws from; None: it takes the likeliest
    grammar: Grammar | None = None  # what it may go on with; None: anything
    listener: Listener | None = None
    place: int = 0  # where the last of them stands
    tokens: list[int] = field(default_factory=list)
    log_probability: float = 0.0
    done: bool = False

    def write(self, token: int, log_probability: float, stop: int) -> None:
        self.tokens.append(token)
        self.place = self.cursor.advance(token)
        self.log_probability += log_probability
        self.grammar = self.grammar and self.grammar.after(token)
        self.done = token == stop or len(self.tokens) == self.room

    def tell(self, likeliest: tuple[tuple[int, float], ...], log_probability: float) -> None:
        """Of its last token."""
        if self.listener is not None:
            goes_on = self.listener.hear(self.tokens[-1], Place(log_probability, likeliest))
            self.done = self.done or not goes_on


def decode_slots(
    model: nn.Module,
    form: Writing,
    prompts: Sequence[Sequence[Encoded]],
    rooms: Sequence[Sequence[int]],
    *,
    bank: AdapterBank | None = None,
    sampling: Sampling | None = None,
    seeds: Sequence[Sequence[int]] = (),
    listeners: Sequence[Sequence[Listener]] = (),
    bounds: Bounds = UNBOUNDED,
) -> list[list[Written]]:
    """Answers to `prompts[i]` by the adapter in slot i; without a bank, by the base."""
    flat = decode(
        model,
        form,
        [prompt for own in prompts for prompt in own],
        [room for own in rooms for room in own],
        slots=[slot for slot, own in enumerate(prompts) for _ in own],
        bank=bank,
        sampling=sampling,
        seeds=[seed for own in seeds for seed in own],
        listeners=[listener for own in listeners for listener in own],
        bounds=bounds,
    )
    rows = iter(flat)
    return [[next(rows) for _ in own] for own in prompts]


def decode(
    model: nn.Module,
    form: Writing,
    prompts: Sequence[Encoded],
    rooms: Sequence[int],
    *,
    slots: Sequence[int] | None = None,
    bank: AdapterBank | None = None,
    sampling: Sampling | None = None,
    seeds: Sequence[int | None] = (),
    grammars: Sequence[Grammar] = (),
    listeners: Sequence[Listener] = (),
    bounds: Bounds = UNBOUNDED,
) -> list[Written]:
    """The answer to every prompt, up to the format's stop token or its row's room: the greedy one,
    or, with `sampling`, one that is drawn by the row's own seed, where it has one. Grammars say
    what each may write, and listeners hear of each token as it is written. Log-probabilities are
    the model's own, however a token was chosen."""
    streams = [None if seed is None else Random(seed) for seed in seeds] if sampling else []
    none = [None] * len(prompts)
    held, heard = grammars or none, listeners or none
    rows = [
        Written(form.cursor(prompt), room, stream, grammar, listener, done=room == 0)
        for prompt, room, stream, grammar, listener in zip(
            prompts, rooms, streams or none, held, heard, strict=True
        )
    ]
    asked = [i for i, row in enumerate(rows) if not row.done]
    for wave in waves(asked, [len(prompts[i]) + rooms[i] for i in asked], bounds.kept):
        frontier = Frontier(
            model,
            [prompts[i] for i in wave],
            slots=None if slots is None else [slots[i] for i in wave],
            bank=bank,
            token_budget=bounds.read,
        )
        _write(frontier, [rows[i] for i in wave], form.stop, sampling)
    return rows


def waves(rows: Sequence[int], tokens: Sequence[int], most: int) -> Iterator[list[int]]:
    """As many neighbours at a time as may hold so many tokens together, one at least."""
    wave: list[int] = []
    taken = 0
    for row, more in zip(rows, tokens, strict=True):
        if wave and most and taken + more > most:
            yield wave
            wave, taken = [], 0
        wave.append(row)
        taken += more
    if wave:
        yield wave


def _write(frontier: Frontier, rows: list[Written], stop: int, sampling: Sampling | None) -> None:
    while True:
        likely = _likely(frontier, rows)
        for i, (token, value) in enumerate(_next(frontier, rows, sampling)):
            if not rows[i].done:
                rows[i].write(token, value, stop)
                rows[i].tell(likely[i], value)
        going = [i for i, row in enumerate(rows) if not row.done]
        if not going:
            return
        if (len(rows) - len(going)) * LEAVING >= len(rows):
            frontier.keep(going)
            rows = [rows[i] for i in going]
        # one that is done but has not left repeats itself on the spot; nobody reads it
        frontier.extend([row.tokens[-1] for row in rows], [row.place for row in rows])


def _likely(frontier: Frontier, rows: Sequence[Written]) -> list[tuple[tuple[int, float], ...]]:
    """As many of the likeliest next tokens as the most curious listener wants to know."""
    asked = [row.listener.likeliest for row in rows if row.listener is not None]
    return likeliest_of(frontier.log_probs, max(asked, default=0))


@torch.inference_mode()
def _next(
    frontier: Frontier, rows: Sequence[Written], sampling: Sampling | None
) -> list[tuple[int, float]]:
    log_probs, names = frontier.log_probs, None
    grammars = [row.grammar for row in rows if row.grammar is not None]
    if grammars:
        log_probs, names = narrowed(log_probs, grammars)
    tokens = likeliest(log_probs)
    streams = {i: row.stream for i, row in enumerate(rows) if row.stream is not None}
    if sampling is not None and streams:
        drawing = list(streams)
        tokens[drawing] = drawn(log_probs[drawing], sampling, list(streams.values()))
    values = log_probs.gather(-1, tokens[:, None])[:, 0]
    if names is not None:
        tokens = names.gather(-1, tokens[:, None])[:, 0]
    # one way from the device to here
    pairs = torch.stack((tokens.double(), values.double()), dim=1).tolist()
    return [(int(token), value) for token, value in pairs]
