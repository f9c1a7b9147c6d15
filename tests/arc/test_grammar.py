"""Grammars let every grid pass and nothing else, however a format spells it."""

from __future__ import annotations

from random import Random

import pytest
from arc_strategies import grids
from hypothesis import given, settings
from hypothesis import strategies as st
from test_formats import FORMATS

from arc.canvas import END, ROW, CanvasFormat
from arc.digits import DigitsFormat
from arc.formats import ArcFormat
from arc.grid import Grid, grid, same


class Pieces:
    """Joins equal digits in a row to one token, and begins every text with a blank, as tokenizers
    that were learned from text do; alone, a token loses the blank that it begins with."""

    bos_token_id: int | None = None
    eos_token_id: int | None = 0

    def __init__(self) -> None:
        digits = "0123456789"
        self.pieces = ["</s>", "\n", " ", *digits, *(f" {d}" for d in digits)]
        self.pieces += [f" {d} {d}" for d in digits]

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        tokens, rest = [], f" {text}"
        while rest:
            piece = max((p for p in self.pieces if rest.startswith(p)), key=len)
            tokens.append(self.pieces.index(piece))
            rest = rest[len(piece) :]
        return tokens

    def decode(self, token_ids: list[int]) -> str:
        return "".join(self.pieces[token] for token in token_ids).removeprefix(" ")


every = pytest.mark.parametrize(
    "form",
    [*(make() for make in FORMATS), DigitsFormat(Pieces())],
    ids=["canvas", "1d", "abc", "real", "pieces"],
)


@every
@given(cells=grids())
@settings(max_examples=15)
def test_every_grid_passes(form: ArcFormat, cells: Grid) -> None:
    for grammar in (form.grammar(None), form.grammar(cells.shape)):
        answer = form.answer(cells)
        for token in answer:
            assert token in grammar.allowed
            grammar = grammar.after(token)
        assert same(form.parse(answer), cells)


@every
@given(
    shape=st.one_of(st.none(), st.tuples(st.integers(1, 4), st.integers(1, 4))),
    rng=st.randoms(use_true_random=False),
)
@settings(max_examples=15)
def test_whatever_is_allowed_becomes_a_grid(
    form: ArcFormat, shape: tuple[int, int] | None, rng: Random
) -> None:
    grammar, tokens = form.grammar(shape), []
    while form.stop not in tokens:
        tokens.append(rng.choice(grammar.allowed))
        grammar = grammar.after(tokens[-1])
        assert len(tokens) < 2000 and grammar.allowed
    found = form.parse(tokens)
    assert found is not None and shape in (None, found.shape)


@every
def test_a_grid_ends_at_thirty_rows_and_columns(form: ArcFormat) -> None:
    wide = form.answer(grid([[1] * 30] * 30))
    grammar = form.grammar(None)
    for token in wide[:-1]:
        grammar = grammar.after(token)
    assert grammar.allowed == (form.stop,)


def test_the_canvas_spelled_out() -> None:
    colours = tuple(range(10))
    grammar = CanvasFormat().grammar(None)
    assert grammar.allowed == colours
    assert grammar.after(3).allowed == (*colours, ROW)
    assert grammar.after(3).after(ROW).allowed == (*colours, END)
    assert grammar.after(3).after(ROW).after(4).allowed == (ROW,)
    small = CanvasFormat().grammar((1, 2))
    assert small.after(3).allowed == colours
    assert small.after(3).after(4).allowed == (ROW,)
    assert small.after(3).after(4).after(ROW).allowed == (END,)


def test_a_tokenizer_that_cannot_go_on_may_stop() -> None:
    """Rather than writing just anything."""

    class Blankless(Pieces):
        def __init__(self) -> None:
            self.pieces = ["</s>", *"0123456789", "?"]

        def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
            return [self.pieces.index(sign) if sign.isdigit() else 11 for sign in text]

    form = DigitsFormat(Blankless())
    grammar = form.grammar((2, 2)).after(1)
    assert grammar.allowed == (form.stop,)
    assert form.parse([1, form.stop]) is not None
