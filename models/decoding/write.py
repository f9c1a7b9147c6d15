"""Writes answers to many prompts with many adapters, all rows one token at a time.

Each row has a cursor for the position of its next token, because on a canvas the next token does
not always stand one to the right. Finished rows are dropped as soon as enough of them have
finished.
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

LEAVING = 8  # finished rows are dropped when they are one in so many


@dataclass(frozen=True)
class Bounds:
    """Most tokens in memory at once. Beyond rounding, they do not change what a row writes."""

    kept: int = 0  # tokens of prompts and answers; further rows wait; 0: no bound
    read: int = TOKEN_BUDGET  # prompt tokens that are read at a time


UNBOUNDED = Bounds()


class Writing(Protocol):
    """What decoding needs to know of a format."""

    stop: int

    def cursor(self, prompt: Encoded) -> Cursor: ...


class Listener(Protocol):
    """Is told each token of a row as it is written."""

    likeliest: int  # how many of the likeliest tokens at every place it wants, beside the chosen

    def hear(self, token: int, place: Place) -> bool:
        """Takes the next token; returns whether the row may continue."""
        ...


@dataclass
class Written:
    """What a row has written so far, and the log-probability of all of it."""

    cursor: Cursor
    room: int  # most tokens that it may write
    stream: Random | None = None  # random numbers to sample with; None: the likeliest is taken
    grammar: Grammar | None = None  # what tokens may follow; None: any
    listener: Listener | None = None
    place: int = 0  # the position of its last token
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
        """Tells the listener the last token, which may end the row."""
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
    """Answers `prompts[i]` with the adapter in slot i; without a bank, with the base."""
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
    """The answer to every prompt, up to the format's stop token or the row's room.

    Answers are greedy. With `sampling`, a row that has a seed is sampled with it instead. A grammar
    limits what its row may write, and a listener hears each token of its row as it is written.
    Log-probabilities are the model's own, however a token was chosen.
    """
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
    """Splits rows into groups of neighbours that together hold at most `most` tokens (0: no bound);
    each has at least one row."""
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
        # a finished row that was not dropped yet repeats its last token, and is not read
        frontier.extend([row.tokens[-1] for row in rows], [row.place for row in rows])


def _likely(frontier: Frontier, rows: Sequence[Written]) -> list[tuple[tuple[int, float], ...]]:
    """The likeliest next tokens of every row: as many as the listener that wants most asks for."""
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
    # one transfer from the device for both
    pairs = torch.stack((tokens.double(), values.double()), dim=1).tolist()
    return [(int(token), value) for token, value in pairs]
