"""The optimizer Muon, for the matrices inside the layers: momentum whose steps are made orthogonal.

It computes what torch.optim.Muon computes, with all matrices of one shape in one product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch

from models.training.crew import Crew

QUINTIC = (3.4445, -4.7750, 2.0315)  # pushes singular values towards 1, from Muon's author
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.bfloat16,
        crew: Crew | None = None,
    ) -> None:
        """Steps are made orthogonal in `dtype`, by the threads of `crew`."""
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.dtype, self.crew = dtype, crew

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = {}
            for parameter in group["params"]:
                by_shape.setdefault(parameter.shape, []).append(parameter)
            many = self.crew.size if self.crew else 1
            parts = [part for alike in by_shape.values() for part in _parts(alike, many)]
            update = partial(self._update, group)
            if self.crew is None:
                list(map(update, parts))
            else:
                self.crew.map(update, parts)

    @torch.no_grad()
    def _update(self, group: dict[str, Any], alike: list[torch.Tensor]) -> None:
        """One step of the matrices in `alike`, which have one shape."""
        grads = [p.grad for p in alike if p.grad is not None]
        moments = [self._moment(p) for p in alike]
        torch._foreach_lerp_(moments, grads, 1 - group["momentum"])
        ahead = torch._foreach_lerp(grads, moments, group["momentum"])  # Nesterov's look ahead
        turned_KRC = orthogonal(torch.stack(ahead).to(self.dtype)).to(alike[0].dtype)
        rows, columns = alike[0].shape
        torch._foreach_mul_(alike, 1 - group["lr"] * group["weight_decay"])
        rate = group["lr"] * max(1.0, rows / columns) ** 0.5
        torch._foreach_add_(alike, list(turned_KRC.unbind()), alpha=-rate)

    def _moment(self, parameter: torch.Tensor) -> torch.Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        moment: torch.Tensor = state["momentum_buffer"]
        return moment


def _parts(alike: list[torch.Tensor], many: int) -> list[list[torch.Tensor]]:
    size = -(-len(alike) // many)
    return [alike[start : start + size] for start in range(0, len(alike), size)]


def orthogonal(x_KRC: torch.Tensor) -> torch.Tensor:
    """Each matrix with its singular values moved close to 1, by Newton-Schulz iterations."""
    if x_KRC.shape[1] > x_KRC.shape[2]:
        return orthogonal(x_KRC.mT).mT
    a, b, c = QUINTIC
    x: torch.Tensor = x_KRC / x_KRC.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x
