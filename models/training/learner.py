"""Model, optimizers and the threads that compute: one step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce

import torch

from arc.formats import Encoded
from models.processor import multiplies_bf16
from models.training.alphabet import GRIDS, Alphabet
from models.training.arithmetic import flops_of
from models.training.crew import Crew, shared_out
from models.training.line import Line, in_line
from models.training.new_model import new_model
from models.training.optimizers import make_optimizers, step
from models.training.packed_llama import answer_loss
from models.training.settings import TrainBaseSettings
from models.training.starting_weights import begin_from

TOGETHER = 16  # questions to measure on


@dataclass(frozen=True)
class Learned:
    loss: float
    tokens: int
    flops: float


class Learner:
    def __init__(
        self, settings: TrainBaseSettings, alphabet: Alphabet = GRIDS, vectors: int = 0
    ) -> None:
        """`vectors`: tasks that have one of their own."""
        if settings.threads:
            torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        fast = torch.bfloat16 if multiplies_bf16(self.device) else torch.float32
        self.dtype = {"auto": fast, "bf16": torch.bfloat16, "fp32": torch.float32}[settings.dtype]
        self.model = new_model(settings, alphabet, tasks=vectors).to(self.device)
        start = settings.start_from
        self.begun_from = begin_from(self.model, start) if start else None
        self.parameters = list(self.model.parameters())
        self.crew = Crew(self.device)
        self.optimizers = make_optimizers(self.model, settings, fast, self.crew)

    def learn(self, rows: Sequence[Encoded], rate: float) -> Learned:
        """One step, at this share of the full learning rates."""
        lines = [in_line(part, self.device) for part in shared_out(rows, self.crew.size)]
        counted = sum(len(line.targets_M) for line in lines)
        losses, grads = zip(*self.crew.map(partial(self._part, counted), lines), strict=True)
        for parameter, *parts in zip(self.parameters, *grads, strict=True):
            parameter.grad = reduce(torch.add, parts)
        step(self.model, self.optimizers, rate)
        flops = sum(flops_of(self.model.config, line) for line in lines)
        return Learned(float(sum(losses)), sum(map(len, rows)), flops)

    def loss_of(self, rows: Sequence[Encoded]) -> float:
        """The mean over the tokens that count."""
        parts = [rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER)]
        lines = [in_line(part, self.device) for part in parts]
        counted = sum(len(line.targets_M) for line in lines)
        return sum(self.crew.map(self._summed_loss, lines)) / counted

    def _part(self, counted: int, line: Line) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """What it adds to the loss of the step, and the gradients of that."""
        mean = answer_loss(self.model, line, self.dtype)
        loss = mean * (len(line.targets_M) / counted)
        return loss.detach(), torch.autograd.grad(loss, self.parameters)

    @torch.no_grad()
    def _summed_loss(self, line: Line) -> float:
        return float(answer_loss(self.model, line, self.dtype)) * len(line.targets_M)
