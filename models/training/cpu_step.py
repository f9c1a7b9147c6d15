"""Computes losses and gradients on a CPU: threads work side by side, each on a line of episodes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import torch

from arc.formats import Encoded
from models.training.crew import Crew, shared_out
from models.training.line import Line, in_line, some_together
from models.training.packed_llama import answer_loss


class CpuStep:
    def __init__(self, model: Any, dtype: torch.dtype, crew: Crew) -> None:
        self.model, self.dtype, self.crew = model, dtype, crew
        self.parameters = list(model.parameters())

    def backward(self, rows: Sequence[Encoded]) -> torch.Tensor:
        """The mean loss over the labelled tokens; every parameter gets its gradient."""
        lines = [in_line(part) for part in shared_out(rows, self.crew.size)]
        counted = sum(len(line.targets_M) for line in lines)
        losses, grads = zip(*self.crew.map(partial(self._part, counted), lines), strict=True)
        for parameter, *parts in zip(self.parameters, *grads, strict=True):
            parameter.grad = reduce(torch.add, parts)
        return torch.stack(losses).sum()

    def loss_of(self, rows: Sequence[Encoded]) -> float:
        """The mean loss over the labelled tokens."""
        lines = [in_line(part) for part in some_together(rows)]
        counted = sum(len(line.targets_M) for line in lines)
        return sum(self.crew.map(self._summed_loss, lines)) / counted

    def _part(self, counted: int, line: Line) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The line's part of the step's loss, and its gradients."""
        mean = answer_loss(self.model, line, self.dtype)
        loss = mean * (len(line.targets_M) / counted)
        return loss.detach(), torch.autograd.grad(loss, self.parameters)

    @torch.no_grad()
    def _summed_loss(self, line: Line) -> float:
        return float(answer_loss(self.model, line, self.dtype)) * len(line.targets_M)
