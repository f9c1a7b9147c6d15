"""The model, its optimizers and the step that suits the device; trains one step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from arc.formats import Encoded
from models.processor import multiplies_bf16
from models.training.alphabet import GRIDS, Alphabet
from models.training.arithmetic import flops_of
from models.training.cpu_step import CpuStep
from models.training.crew import Crew
from models.training.gpu_step import GpuStep
from models.training.new_model import new_model
from models.training.optimizers import make_optimizers, step
from models.training.settings import TrainBaseSettings
from models.training.starting_weights import begin_from


@dataclass(frozen=True)
class Learned:
    loss: torch.Tensor  # on the device; reading it waits for the step
    tokens: int
    flops: float


class Learner:
    def __init__(
        self, settings: TrainBaseSettings, alphabet: Alphabet = GRIDS, vectors: int = 0
    ) -> None:
        """`vectors`: the number of tasks that have a vector of their own."""
        if settings.threads:
            torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        fast = torch.bfloat16 if multiplies_bf16(self.device) else torch.float32
        self.dtype = {"auto": fast, "bf16": torch.bfloat16, "fp32": torch.float32}[settings.dtype]
        self.model = new_model(settings, alphabet, tasks=vectors).to(self.device)
        start = settings.start_from
        self.begun_from = begin_from(self.model, start) if start else None
        crew = Crew(self.device)
        self.optimizers = make_optimizers(self.model, settings, fast, crew)
        self.step: CpuStep | GpuStep = (
            CpuStep(self.model, self.dtype, crew)
            if self.device.type == "cpu"
            else GpuStep(
                self.model,
                self.dtype,
                longest=settings.max_tokens,
                tokens=settings.batch_tokens,
            )
        )

    def learn(self, rows: Sequence[Encoded], rate: float) -> Learned:
        """One step at `rate`, a share of the full learning rates."""
        loss = self.step.backward(rows)
        step(self.model, self.optimizers, rate)
        return Learned(loss, sum(map(len, rows)), flops_of(self.model.config, rows))

    def loss_of(self, rows: Sequence[Encoded]) -> float:
        """The mean loss over the labelled tokens."""
        return self.step.loss_of(rows)
