"""Voting: reduces many candidate grids to the few attempts that ARC allows.

    attempts = vote(candidates, attempts=2, voting="hierarchical")

Each voter divides one whole vote among the written grids; a grid's share is the confidence in it.
The part of a view that wrote no grid goes to no grid, and a view that wrote several grids divides
its part among them. Experts, who score every grid, divide the whole vote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import exp
from statistics import fmean

import numpy as np

from arc.candidates import Candidate
from arc.grid import Grid, frozen, same, spell, unspell
from arc.voter import Voter
from hone.errors import BadInput

# the share of each grid, by its spelling, in the order in which grids were first seen
Shares = dict[str, float]

FINALISTS = 3  # finalists of each symmetry in the hierarchical vote
AS_IT_IS = 1.5  # weight of the unchanged task; every other symmetry has 1
LEAST_WEIGHT = 0.1  # least weight of an answer, however unlikely
CONSISTENCY = 0.6  # share of self-consistency in the hybrid vote; augmentation has the rest
BONUS = 0.1  # added factor for each further symmetry under which a grid was written


def vote(
    candidates: Sequence[Candidate], attempts: int = 2, voting: str = Voter.SELF_CONSISTENCY
) -> list[tuple[Grid, float]]:
    """The grids with the largest shares of the vote, with their shares; of equal ones, the first
    seen."""
    if attempts < 1:
        raise BadInput(f"{attempts} attempts; at least one is needed")
    if voting not in VOTERS:
        raise BadInput(f"no voting {voting!r}; there are: {', '.join(VOTERS)}")
    shares = VOTERS[voting](candidates)
    # the sort is stable; rounding makes sums equal that differ only by the order of their terms
    ranked = sorted(shares, key=lambda spelled: -float(f"{shares[spelled]:.11e}"))
    return [(unspell(spelled), shares[spelled]) for spelled in ranked[:attempts]]


def oracle(candidates: Sequence[Candidate], answer: Grid | None) -> bool:
    """Whether the answer is among the candidates. No voter can do better, except the hierarchical
    one, which may combine rows into a grid that no view wrote."""
    return any(same(candidate.grid, answer) for candidate in candidates)


def self_consistency(candidates: Sequence[Candidate]) -> Shares:
    """Every view has the same weight."""
    return _weighed(candidates, [one.part for one in candidates])


def by_augmentation(candidates: Sequence[Candidate]) -> Shares:
    """All symmetries weigh the same, whatever their number of views; the unchanged task half
    more."""
    groups = _by_symmetry(candidates)
    weights = {
        symmetry: (AS_IT_IS if symmetry == "identity" else 1.0) / sum(one.part for one in own)
        for symmetry, own in groups.items()
    }
    return _weighed(candidates, [weights[one.symmetry] * one.part for one in candidates])


def hierarchical(candidates: Sequence[Candidate]) -> Shares:
    """Counts for each grid the symmetries that have it among their finalists; of equal ones, those
    of the unchanged task come first."""
    groups = _by_symmetry(candidates)
    order = sorted(groups, key=lambda symmetry: symmetry != "identity")  # stable
    finalists = [_finalists(groups[symmetry]) for symmetry in order]
    counts = Counter(spelled for own in finalists for spelled in own)
    cast = sum(max(1, len(own)) for own in finalists)
    return {spelled: count / cast for spelled, count in counts.items()}


def hybrid(candidates: Sequence[Candidate]) -> Shares:
    """Self-consistency weighted by each answer's probability, mixed with the vote by augmentation;
    grids written under several symmetries get a bonus."""
    consistent = _weighed(candidates, [_weight(one) for one in candidates])
    aware = by_augmentation(candidates)
    support: dict[str, set[str]] = {spelled: set() for spelled in consistent}
    for one in candidates:
        if one.grid is not None:
            support[spell(one.grid)].add(one.symmetry)
    scores = {
        spelled: (CONSISTENCY * share + (1 - CONSISTENCY) * aware[spelled])
        * (1 + BONUS * (len(support[spelled]) - 1))
        for spelled, share in consistent.items()
    }
    whole = max(1.0, sum(scores.values()))  # the bonus may raise the sum above one vote
    return {spelled: score / whole for spelled, score in scores.items()}


def by_experts(candidates: Sequence[Candidate]) -> Shares:
    """Shares in proportion to the geometric mean of the probabilities that the experts give to a
    grid. A grid without experts counts with the probability of the view that wrote it."""
    opinions: dict[str, float] = {}
    for one in candidates:
        if one.grid is not None:
            own = fmean(one.experts) if one.experts else one.log_probability or 0.0
            spelled = spell(one.grid)
            opinions[spelled] = max(own, opinions.get(spelled, own))
    best = max(opinions.values(), default=0.0)
    weights = {spelled: exp(own - best) for spelled, own in opinions.items()}
    return {spelled: weight / sum(weights.values()) for spelled, weight in weights.items()}


def by_panel(candidates: Sequence[Candidate]) -> Shares:
    """The mean of the experts' vote, which chooses best but is overconfident, and
    self-consistency."""
    thought, written = by_experts(candidates), self_consistency(candidates)
    return {spelled: (share + written[spelled]) / 2 for spelled, share in thought.items()}


VOTERS: dict[str, Callable[[Sequence[Candidate]], Shares]] = {
    Voter.SELF_CONSISTENCY: self_consistency,
    Voter.AUGMENTATION: by_augmentation,
    Voter.HIERARCHICAL: hierarchical,
    Voter.HYBRID: hybrid,
    Voter.EXPERTS: by_experts,
    Voter.PANEL: by_panel,
}


def _by_symmetry(candidates: Sequence[Candidate]) -> dict[str, list[Candidate]]:
    groups: dict[str, list[Candidate]] = {}
    for one in candidates:
        groups.setdefault(one.symmetry, []).append(one)
    return groups


def _weighed(candidates: Sequence[Candidate], weights: Sequence[float]) -> Shares:
    found: dict[str, float] = {}
    for one, weight in zip(candidates, weights, strict=True):
        if one.grid is not None:
            spelled = spell(one.grid)
            found[spelled] = found.get(spelled, 0.0) + weight
    return {spelled: weight / sum(weights) for spelled, weight in found.items()}


def _weight(candidate: Candidate) -> float:
    known = candidate.log_probability
    likely = 1.0 if known is None else max(LEAST_WEIGHT, exp(known))
    return likely * candidate.part


def _finalists(candidates: Sequence[Candidate]) -> list[str]:
    """At most FINALISTS grids: those that several views wrote, then the grid of the most frequent
    rows and that of the most frequent columns, which may be no view's own, then the others."""
    grids = [one.grid for one in candidates if one.grid is not None]
    if not grids:
        return []
    counts = Counter(map(spell, grids))
    agreed = [spelled for spelled, count in counts.most_common() if count > 1]
    rows = _most_frequent_rows(grids)
    columns = _most_frequent_rows([cells.T for cells in grids]).T
    ranked = dict.fromkeys([*agreed, spell(rows), spell(columns), *counts])
    return list(ranked)[:FINALISTS]


def _most_frequent_rows(grids: Sequence[Grid]) -> Grid:
    """The most frequent rows, one for each place, among the grids of the most frequent shape."""
    ((shape, _),) = Counter(cells.shape for cells in grids).most_common(1)
    alike = [cells for cells in grids if cells.shape == shape]
    rows = [
        Counter(cells[r].tobytes() for cells in alike).most_common(1)[0][0] for r in range(shape[0])
    ]
    return frozen(np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(shape))
