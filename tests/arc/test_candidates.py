"""Candidates are told and heard whole, and a view has one vote however much it wrote."""

from __future__ import annotations

import json
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_voting import A, B, candidates

from arc.candidates import Candidate, hear, of_one_view, tell
from arc.grid import same


@given(candidates())
def test_what_is_told_is_heard_again(ones: list[Candidate]) -> None:
    again = hear(json.loads(json.dumps(tell(ones))))
    for one, other in zip(ones, again, strict=True):
        assert same(one.grid, other.grid) or one.grid is other.grid is None
        assert tell([one]) == tell([other])


def test_older_traces_say_less() -> None:
    (one,) = hear([{"view": "rot90", "grid": "12"}])
    assert same(one.grid, B) and (one.view, one.part, one.experts) == ("rot90", 1.0, ())


def test_a_view_divides_its_vote_as_it_divides_its_belief() -> None:
    likely, less = Candidate(A, "rot90", log(0.6)), Candidate(B, "rot90", log(0.2), "search")
    found = of_one_view([likely, less, Candidate(A, "rot90", log(0.6), "search")])
    assert [(one.way, one.part) for one in found] == [
        ("greedy", pytest.approx(0.75)),
        ("search", pytest.approx(0.25)),
    ]


@given(st.lists(st.floats(-2000, 0), min_size=1, max_size=9))
def test_parts_are_of_one_vote(known: list[float]) -> None:
    grids = [A, B, None]
    found = of_one_view(Candidate(grids[i % 3], "rot90", own) for i, own in enumerate(known))
    assert sum(one.part for one in found) == pytest.approx(1) and len(found) <= 3
