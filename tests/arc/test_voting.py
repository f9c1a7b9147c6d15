"""Votes: the majority first, and of equals the one seen first."""

from __future__ import annotations

import pytest
from arc_strategies import grids
from hypothesis import given
from hypothesis import strategies as st

from arc.grid import Grid, grid, same, spell
from arc.voting import vote
from hone.errors import BadInput

A, B, C = grid([[1]]), grid([[1, 2]]), grid([[1], [2]])


def spelled(votes: list[tuple[Grid, float]]) -> list[tuple[str, float]]:
    return [(spell(cells), share) for cells, share in votes]


def test_majority_first() -> None:
    assert spelled(vote([A, B, B, C])) == [("12", 0.5), ("1", 0.25)]
    assert spelled(vote([A, B, B, C], attempts=1)) == [("12", 0.5)]


def test_of_equals_the_first_seen() -> None:
    assert spelled(vote([C, A, B, A, C])) == [("1/2", 0.4), ("1", 0.4)]


def test_views_without_a_grid_lower_the_share() -> None:
    assert spelled(vote([None, A, None, A])) == [("1", 0.5)]
    assert vote([None, None]) == vote([]) == []


def test_no_attempts_are_refused() -> None:
    with pytest.raises(BadInput, match="0 attempts"):
        vote([A], attempts=0)


@given(st.lists(st.one_of(st.none(), grids(side=1)), max_size=20), st.integers(1, 5))
def test_shares_fall_and_grids_differ(candidates: list[Grid | None], attempts: int) -> None:
    votes = vote(candidates, attempts)
    shares = [share for _, share in votes]
    assert len(votes) <= attempts and sum(shares) <= 1 + 1e-9
    assert shares == sorted(shares, reverse=True)
    assert len({spell(cells) for cells, _ in votes}) == len(votes)
    for cells, share in votes:
        count = sum(same(cells, other) for other in candidates)
        assert share == count / len(candidates)
