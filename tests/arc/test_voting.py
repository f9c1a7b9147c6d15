"""Votes: each voter divides one vote; what it favours is what it says it favours."""

from __future__ import annotations

import random
from math import exp

import pytest
from arc_strategies import grids
from hypothesis import given
from hypothesis import strategies as st

from arc.candidates import Candidate
from arc.grid import Grid, grid, same, spell
from arc.voter import Voter
from arc.voting import VOTERS, oracle, vote
from hone.errors import BadInput

A, B, C = grid([[1]]), grid([[1, 2]]), grid([[1], [2]])
LOOKS = ["identity", "rot90", "colours:0213456789", "rot90+colours:0213456789", "fliplr+demos:1,0"]


def written(*cells: Grid | None) -> list[Candidate]:
    """All by the task as it is."""
    return [Candidate(one) for one in cells]


def spelled(votes: list[tuple[Grid, float]]) -> list[tuple[str, float]]:
    return [(spell(cells), share) for cells, share in votes]


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    known = draw(st.lists(grids(side=2), min_size=1, max_size=3))
    one = st.builds(
        Candidate,
        st.one_of(st.none(), st.sampled_from(known)),
        st.sampled_from(LOOKS),
        st.one_of(st.none(), st.floats(-20, 0)),
    )
    return draw(st.lists(one, max_size=20))


def test_every_way_that_can_be_chosen_votes() -> None:
    assert [*VOTERS] == [*Voter]


def test_majority_first() -> None:
    assert spelled(vote(written(A, B, B, C))) == [("12", 0.5), ("1", 0.25)]
    assert spelled(vote(written(A, B, B, C), attempts=1)) == [("12", 0.5)]


@pytest.mark.parametrize("voting", VOTERS)
def test_of_equals_the_first_seen(voting: str) -> None:
    votes = vote(written(C, A, B, A, C), voting=voting)
    assert [spell(cells) for cells, _ in votes] == ["1/2", "1"]


def test_views_without_a_grid_lower_the_share() -> None:
    assert spelled(vote(written(None, A, None, A))) == [("1", 0.5)]


@pytest.mark.parametrize("voting", VOTERS)
def test_nothing_written_is_nothing_chosen(voting: str) -> None:
    assert vote(written(None, None), voting=voting) == vote([], voting=voting) == []


def test_no_attempts_and_unknown_ways_are_refused() -> None:
    with pytest.raises(BadInput, match="0 attempts"):
        vote(written(A), attempts=0)
    with pytest.raises(BadInput, match="no voting 'most'; there are: self-consistency, augm"):
        vote(written(A), voting="most")


@given(candidates(), st.integers(1, 5), st.sampled_from(sorted(VOTERS)))
def test_one_vote_is_divided(ones: list[Candidate], attempts: int, voting: str) -> None:
    votes = vote(ones, attempts, voting)
    shares = [share for _, share in votes]
    assert len(votes) <= attempts and sum(shares) <= 1 + 1e-9
    assert all(share > 0 for share in shares)
    assert shares == sorted(shares, key=lambda share: -float(f"{share:.11e}"))
    assert len({spell(cells) for cells, _ in votes}) == len(votes)
    assert bool(votes) == any(one.grid is not None for one in ones)


@given(candidates(), st.sampled_from(sorted(VOTERS)))
def test_what_all_agree_on_is_certain(ones: list[Candidate], voting: str) -> None:
    agreed = [Candidate(A, one.view, one.log_probability) for one in ones]
    assert [(spell(c), pytest.approx(s)) for c, s in vote(agreed, voting=voting)] == (
        [("1", 1.0)] if ones else []
    )


@given(candidates(), st.randoms(), st.sampled_from(["self-consistency", "augmentation", "hybrid"]))
def test_the_order_of_views_moves_no_share(
    ones: list[Candidate], rng: random.Random, voting: str
) -> None:
    other = rng.sample(ones, len(ones))
    first, again = (VOTERS[voting](order) for order in (ones, other))
    assert first == pytest.approx(again)


@given(candidates())
def test_self_consistency_counts(ones: list[Candidate]) -> None:
    for cells, share in vote(ones):
        assert share == sum(same(cells, one.grid) for one in ones) / len(ones)


def test_asking_a_symmetry_more_often_gives_it_no_more_weight() -> None:
    once = [Candidate(B, "rot90"), Candidate(A, "fliplr"), Candidate(A, "flipud")]
    often = [*once, *(Candidate(B, f"rot90+demos:{i},0") for i in range(1, 6))]
    assert spelled(vote(often))[0] == ("12", 0.75)
    assert spelled(vote(often, voting="augmentation"))[0] == ("1", pytest.approx(2 / 3))


def test_the_task_as_it_is_counts_half_more() -> None:
    asked = [Candidate(B, "rot90"), Candidate(A)]
    found = spelled(vote(asked, voting="augmentation"))
    assert found == [("1", pytest.approx(0.6)), ("12", pytest.approx(0.4))]


def test_hierarchical_finds_rows_and_columns_that_nobody_wrote_together() -> None:
    right = grid([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    slips = []
    for i in range(3):
        cells = right.copy()
        cells[i, i] = 0
        slips.append(grid(cells))
    assert not oracle(written(*slips), right)
    assert same(vote(written(*slips), voting="hierarchical")[0][0], right)


def test_hierarchical_lets_symmetries_vote_with_their_finalists() -> None:
    asked = [
        *(Candidate(B, "rot90"), Candidate(B, "rot90"), Candidate(B, "rot90")),
        *(Candidate(A, "fliplr"), Candidate(C, "flipud"), Candidate(C)),
    ]
    assert spelled(vote(asked, voting="hierarchical")) == [("1/2", 0.5), ("12", 0.25)]
    equals = [Candidate(B, "rot90"), Candidate(A)]
    assert spelled(vote(equals, voting="hierarchical")) == [("1", 0.5), ("12", 0.5)]


def test_hybrid_listens_to_likely_answers_and_to_several_symmetries() -> None:
    sure = [Candidate(A, "rot90", -9.0), Candidate(B, "rot90", -0.1)]
    assert spelled(vote(sure, voting="hybrid"))[0][0] == "12"
    wide = [
        *(Candidate(A, "rot90"), Candidate(A, "rot90")),
        *(Candidate(B, "rot90"), Candidate(B, "fliplr"), Candidate(C, "fliplr")),
        Candidate(A, "fliplr"),
    ]
    narrow = {name: VOTERS[name](wide) for name in ("self-consistency", "hybrid")}
    ratio = {name: shares["12"] / shares["1/2"] for name, shares in narrow.items()}
    assert ratio["hybrid"] > ratio["self-consistency"]


@given(candidates(), grids(side=2))
def test_no_voter_of_written_grids_beats_the_oracle(ones: list[Candidate], answer: Grid) -> None:
    for voting in ("self-consistency", "augmentation", "hybrid"):
        attempts = vote(ones, voting=voting)
        assert oracle(ones, answer) or not any(same(cells, answer) for cells, _ in attempts)


def test_what_a_view_wrote_beside_its_answer_counts_as_a_part_of_it() -> None:
    asked = [
        *(Candidate(A, "rot90", part=0.7), Candidate(B, "rot90", part=0.3)),
        *(Candidate(B, "fliplr", part=0.6), Candidate(C, "fliplr", part=0.4)),
    ]
    for voting in ("self-consistency", "augmentation"):
        shares = VOTERS[voting](asked)
        assert shares == pytest.approx({"1": 0.35, "12": 0.45, "1/2": 0.2})


def test_experts_multiply_what_all_of_them_think() -> None:
    """A view may be sure of what the others find absurd."""
    asked = [
        Candidate(A, "rot90", -0.1, experts=(-0.1, -9.0, -9.0)),
        Candidate(B, "fliplr", -2.0, experts=(-3.0, -2.0, -2.5)),
    ]
    assert spelled(vote(asked, voting="hybrid"))[0][0] == "1"
    (first, sure), (second, rest) = spelled(vote(asked, voting="experts"))
    assert (first, second) == ("12", "1") and sure + rest == pytest.approx(1)


def test_a_panel_is_half_experts_and_half_views() -> None:
    """So it is not surer of the only grid that was written than half the views and the experts."""
    asked = [
        Candidate(A, "rot90", experts=(-0.1, -0.1)),
        Candidate(B, "fliplr", experts=(-3.0, -3.0)),
        Candidate(B, "rot180", experts=(-3.0, -3.0)),
        Candidate(None, "identity"),
    ]
    thought = 1 / (1 + exp(-2.9))
    shares = VOTERS["panel"](asked)
    assert shares == pytest.approx({"1": (thought + 0.25) / 2, "12": (1 - thought + 0.5) / 2})
    alone = VOTERS["panel"]([asked[0], asked[-1]])
    assert alone == pytest.approx({"1": 0.75}) and VOTERS["experts"]([asked[0]]) == {"1": 1.0}


def test_second_attempts_are_ranked_however_unlikely() -> None:
    asked = [Candidate(grid, experts=(own,)) for grid, own in ((A, -90.0), (B, -60.0), (C, -1.0))]
    assert [spell(cells) for cells, _ in vote(asked, 3, "experts")] == ["1/2", "12", "1"]
