"""Tokens become text as they are written: whole characters, no stop strings, nothing told twice."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from tiny_bases import byte_tokenizer, word_tokenizer

from client.text_format import PlainFormat, TextFormat
from client.text_stream import Piece, TextStream
from models.decoding.places import Place

THERE = Place(-0.5)


def streamed(form: TextFormat, ids: list[int], *stops: str) -> tuple[TextStream, list[Piece]]:
    pieces: list[Piece] = []
    stream = TextStream(form, stops, on_piece=pieces.append)
    for token in ids:
        if not stream.hear(token, THERE):
            break
    stream.end()
    return stream, pieces


def spelled(form: TextFormat, text: str) -> list[int]:
    found: list[int] = form.tokenizer.encode(text, add_special_tokens=False)
    return found


@pytest.fixture(params=["words, trimmed", "words, plain", "bytes, trimmed", "bytes, plain"])
def form(request: pytest.FixtureRequest) -> TextFormat:
    tokenizer: Any = byte_tokenizer() if "bytes" in request.param else word_tokenizer()
    return PlainFormat(tokenizer) if "plain" in request.param else TextFormat(tokenizer)


def test_pieces_are_together_what_the_tokens_say(form: TextFormat) -> None:
    """For any tokens at all, special ones and broken characters too."""
    rng = Random(0)
    for _ in range(200):
        ids = [rng.randrange(len(form.tokenizer)) for _ in range(rng.randrange(12))]
        stream, pieces = streamed(form, ids)
        assert stream.text == "".join(piece.text for piece in pieces) == form.read(ids)
        told = [token for piece in pieces for token in piece.tokens]
        assert [token.id for token in told] == ids[: len(told)]


def test_a_character_is_told_when_it_is_whole() -> None:
    form = TextFormat(byte_tokenizer())
    ids = spelled(form, "a€b")
    assert len(ids) == 5
    stream, pieces = streamed(form, ids)
    assert [piece.text for piece in pieces] == ["a", "", "", "€", "b", ""]
    assert [len(piece.tokens) for piece in pieces] == [1, 0, 0, 3, 1, 0]
    assert stream.text == "a€b"


def test_blanks_at_the_ends_are_no_part_of_an_answer() -> None:
    form = TextFormat(word_tokenizer())
    stream, pieces = streamed(form, spelled(form, " \nthe sky \nblue "))
    assert stream.text == "the sky \nblue"
    assert [piece.text for piece in pieces if piece.text] == ["the", " sky", " \nblue"]
    plain = PlainFormat(word_tokenizer())
    assert streamed(plain, spelled(plain, " blue "))[0].text == " blue "


@pytest.mark.parametrize(
    ("text", "stops", "told"),
    [
        ("the sky blue red", ("blue",), "the sky"),
        ("the sky blue red", ("sky blue", "the"), ""),
        ("the sky blue red", ("green",), "the sky blue red"),
        ("the sky blue", ("blue red",), "the sky blue"),  # its beginning is told in the end
        ("red\n\nblue", ("\n\n",), "red"),
    ],
)
def test_an_answer_ends_before_a_stop_string(text: str, stops: tuple[str, ...], told: str) -> None:
    form = TextFormat(word_tokenizer())
    stream, pieces = streamed(form, spelled(form, text), *stops)
    assert stream.text == "".join(piece.text for piece in pieces) == told
    assert stream.stopped == any(stop in text for stop in stops)
    assert all(token.begins < len(told) + 2 for piece in pieces for token in piece.tokens)


def test_the_beginning_of_a_stop_string_is_held_back() -> None:
    form = TextFormat(byte_tokenizer())
    stream, pieces = streamed(form, spelled(form, "ab##a##b"), "###")
    assert [piece.text for piece in pieces] == ["a", "b", "", "", "##a", "", "", "##b", ""]
    assert not stream.stopped


def test_a_stop_string_ends_the_row_at_its_last_token() -> None:
    form = TextFormat(byte_tokenizer())
    heard: list[Piece] = []
    stream = TextStream(form, ("b€",), on_piece=heard.append)
    going = [stream.hear(token, THERE) for token in spelled(form, "ab€")]
    assert going == [True, True, True, True, False]
    assert stream.text == "a" and [t.text for piece in heard for t in piece.tokens] == ["a"]
