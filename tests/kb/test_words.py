"""Words: what typing changes does not count, what the question says does."""

from __future__ import annotations

import pytest

from kb.words import numbers, runs, words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How many APPLES, then?", "how many apples then"),
        ("costs $ 2.00 .", "costs $2.00."),
        ("1,000 people", "1000 people"),
        ("3+4=7", "3 + 4 = 7"),
        ("caf\u00e9 \ufb01ve", "CAFE\u0301 five"),
        ("x_1", "x 1"),
    ],
)
def test_how_it_was_typed_does_not_count(one: str, other: str) -> None:
    assert words(one) == words(other) != []


@pytest.mark.parametrize(
    ("one", "other"),
    [("3 + 4", "3 - 4"), ("2.5", "25"), ("2.5", "2 5"), ("1,00", "100"), ("a < b", "a > b")],
)
def test_what_is_asked_counts(one: str, other: str) -> None:
    assert words(one) != words(other)


def test_numbers_and_runs() -> None:
    assert numbers(words("In 2.50 of 3 cases, x2")) == ["2.50", "3", "2"]
    assert len(list(runs(list("abcdef"), 4))) == 3
    assert list(runs(list("ab"), 4)) == list(runs(list("ab"), 8))  # a short text is one run
