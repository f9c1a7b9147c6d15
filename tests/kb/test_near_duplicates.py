"""Near-duplicates against the exact share of common runs, and the table that finds them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from kb import near_duplicates
from kb.near_duplicates import RUN, THRESHOLD, BandTable, NearDuplicates
from kb.records import Record
from kb.words import runs, words

LEXICON = [a + b for a in "bcdfghklmnprst" for b in ("ab", "ek", "il", "om", "un")]


def _text(rng: random.Random, length: int) -> list[str]:
    return [rng.choice(LEXICON) for _ in range(length)]


def _record(found: list[str], answer: str = "") -> Record:
    return Record("s", "text", " ".join(found), answer)


def _share(one: Record, other: Record) -> float:
    sides = [set(runs(words(record.prompt + "\n" + record.answer), RUN)) for record in (one, other)]
    return len(sides[0] & sides[1]) / len(sides[0] | sides[1])


def test_the_share_is_estimated_well_and_near_ones_are_found() -> None:
    rng = random.Random(3)
    found = missed = wrong = 0
    for _ in range(300):
        near, first = NearDuplicates(), _text(rng, 200)
        second = list(first)
        for place in rng.sample(range(200), rng.randint(0, 12)):
            second[place] = rng.choice(LEXICON)
        one, other = _record(first), _record(second)
        assert near.like_or_add(one, 7) is None
        share, like = _share(one, other), near.like_or_add(other, 8)
        if like is not None:
            assert like[0] == 7 and abs(like[1] - share) < 0.12
        found += share > 0.97 and like is not None
        missed += share > 0.97 and like is None
        wrong += share < 0.8 and like is not None
    assert found > 30 and missed == 0 and wrong == 0


def test_other_numbers_are_another_problem_and_no_other_text() -> None:
    question = [*_text(random.Random(1), 60), "has", "{}", "apples"]
    ask = " ".join(question).format
    near = NearDuplicates()
    assert near.like_or_add(Record("s", "text", ask(3), "three"), 0) is None
    assert near.like_or_add(Record("s", "text", ask(4), "three"), 1) is None
    assert near.like_or_add(Record("s", "text", ask(3) + "!", "three"), 2) == (0, 1.0)
    code = NearDuplicates()  # without an answer there is no problem to solve
    assert code.like_or_add(Record("s", "text", "# copyright 2012\n" + ask(3), ""), 0) is None
    assert code.like_or_add(Record("s", "text", "# copyright 2013\n" + ask(3), ""), 1) is not None


def test_many_records_find_the_likest_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BandTable, "RECENT", 200)  # so that it settles and merges
    rng = random.Random(4)
    texts = [_text(rng, 80) for _ in range(1500)]
    near = NearDuplicates()
    for row, text in enumerate(texts):
        assert near.like_or_add(_record(text), row) is None
    assert len(near._table._sorted) < 10
    for row in rng.sample(range(1500), 50):
        assert near.like_or_add(_record(texts[row][:-1]), 9999) == (row, pytest.approx(1, abs=0.1))


def test_short_texts_and_empty_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "_AT_ONCE", 2)
    near = NearDuplicates()
    for row, prompt in enumerate(["one", "one two", "one two three", "one two three four", "..."]):
        assert near.like_or_add(Record("s", "text", prompt, ""), row) is None
    assert near.like_or_add(Record("s", "text", "One, two!", ""), 9) == (1, 1.0)


def test_hashes_do_not_depend_on_the_process() -> None:
    hashes, keys = near_duplicates._sketch(_record(["a", "b", "c", "d"]))
    assert hashes[:4].tolist() == HASHES and int(keys[0]) == KEY
    assert hashes.dtype == np.uint8 and THRESHOLD == 0.9


HASHES, KEY = [44, 3, 104, 160], 14815019216927158088
