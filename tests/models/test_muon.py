"""Muon: torch's own steps, and matrices made orthogonal together as they are alone."""

from __future__ import annotations

import pytest
import torch

from models.training.crew import Crew
from models.training.muon import Muon, orthogonal

SHAPES = [(12, 12), (12, 12), (24, 12), (12, 24), (24, 12)]


def matrices(seed: int = 0) -> list[torch.nn.Parameter]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=rng)) for shape in SHAPES]


def test_steps_are_those_of_torch() -> None:
    ours, theirs = matrices(), matrices()
    settings = {"lr": 0.02, "weight_decay": 0.05}
    muon, reference = Muon(ours, **settings), torch.optim.Muon(theirs, momentum=0.95, **settings)
    for step in range(4):
        for one, other, grad in zip(ours, theirs, matrices(step + 1), strict=True):
            one.grad, other.grad = grad.detach().clone(), grad.detach().clone()
        muon.step()
        reference.step()
    for one, other, start in zip(ours, theirs, matrices(), strict=True):
        moved = (other - start).norm()
        assert float((one - other).detach().norm() / moved.detach()) < 0.03, "bf16 rounds"


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 16, 48), (2, 48, 16)])
def test_singular_values_are_near_one(shape: tuple[int, int, int]) -> None:
    turned = orthogonal(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    values = torch.linalg.svdvals(turned)
    assert turned.shape == shape and values.min() > 0.3 and values.max() < 1.3


def test_together_is_alone() -> None:
    stack = torch.randn(4, 8, 20, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([orthogonal(one[None]) for one in stack])
    assert torch.allclose(orthogonal(stack), alone, atol=1e-6)


def test_a_crew_takes_the_same_steps() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        crew = Crew(torch.device("cpu"))
    finally:
        torch.set_num_threads(before)
    ends = []
    for who in (None, crew):
        ours = matrices()
        for parameter, grad in zip(ours, matrices(1), strict=True):
            parameter.grad = grad.detach()
        Muon(ours, 0.02, 0.05, dtype=torch.float32, crew=who).step()
        ends.append(ours)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*ends, strict=True))


def test_a_run_that_goes_on_has_the_moments() -> None:
    straight, halves = matrices(), matrices()
    one, other = Muon(straight, 0.02, 0.05), Muon(halves, 0.02, 0.05)
    for step in range(4):
        if step == 2:
            state = other.state_dict()
            other = Muon(halves, 0.02, 0.05)
            other.load_state_dict(state)
        for parameter, twin, grad in zip(straight, halves, matrices(step + 1), strict=True):
            parameter.grad, twin.grad = grad.detach().clone(), grad.detach().clone()
        one.step()
        other.step()
    assert all(torch.equal(a, b) for a, b in zip(straight, halves, strict=True))
