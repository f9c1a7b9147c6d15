"""One training run, from its first step or its last checkpoint to the finished base."""

from __future__ import annotations

import time
from typing import Any

from tqdm import tqdm

from hone.errors import BadInput
from models.matrix_speed import gemm_peak
from models.training.base_folder import write_base
from models.training.checkpoint import (
    BEFORE_DECAY,
    LATEST,
    read_checkpoint,
    refuse_other,
    save_checkpoint,
)
from models.training.drawing import Batches, open_batches
from models.training.learner import Learner
from models.training.material import open_material
from models.training.pace import Budget, decays_at, rate_at
from models.training.record import Record
from models.training.settings import TrainBaseSettings, lasting

MEASURED, APART = 20, 1_000_000  # most measurements of a run, and least tokens between two
SHOWN = 0.5  # seconds between two updates of the bar; each reads the loss and waits for the device
PEAK_SIZES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}  # of the products that measure the peak


class Run:
    def __init__(self, settings: TrainBaseSettings) -> None:
        self.settings, self.budget = settings, Budget(settings.minutes, settings.steps)
        self.material = open_material(settings)
        self.tests = self.material.tests()
        self.learner = Learner(settings, self.material.alphabet, self.material.vectors)
        self.record = Record(
            lasting(settings),
            self.material.contents,
            self.budget.spelled(),
            self.learner.begun_from,
        )
        self._resume()

    def go(self) -> None:
        learner = self.learner
        device = learner.device.type
        self.peak = gemm_peak(learner.device, learner.dtype, PEAK_SIZES[device])
        first = self.record.steps
        with open_batches(self.settings, self.material, first, device) as batches, _bar() as bar:
            self._train(batches, bar)
        self._measure()
        self._save()
        written = write_base(
            self.settings.out_dir, learner.model, self.record, self.material, device, self.peak
        )
        print(f"wrote {written}")

    def _train(self, batches: Batches, bar: tqdm[Any]) -> None:
        """Trains until the budget is used. All time counts, also that of measuring and saving."""
        counted = saved = shown = time.monotonic()
        share = self._share()
        while share < 1.0:
            if decays_at(share, self.settings.decay) and not self.record.decaying:
                self._save(BEFORE_DECAY)
                self.record.decaying = True
            before = share
            rows = batches(self.record.steps)
            self.record.add(self.learner.learn(rows, rate_at(share, self.settings.decay)))
            now = time.monotonic()
            self.record.seconds += now - counted
            counted, share = now, self._share()
            if int(MEASURED * share) > int(MEASURED * before) and self._unmeasured() >= APART:
                self._measure()
            if now - saved > self.settings.every:
                self._save()
                saved = now
            if now - shown > SHOWN or share == 1.0:
                self._show(bar, share)
                shown = now

    def _share(self) -> float:
        return self.budget.share(self.record.seconds, self.record.steps)

    def _unmeasured(self) -> float:
        """Tokens since the last measurement."""
        measured = self.record.held_out
        return self.record.tokens - (measured[-1]["tokens"] if measured else 0)

    def _measure(self) -> None:
        if self.record.held_out and not self._unmeasured():
            return
        losses = {n: round(self.learner.loss_of(rows), 4) for n, rows in self.tests.items()}
        self.record.held_out.append({"tokens": self.record.tokens, **losses})
        spelled = ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
        tqdm.write(f"{self.record.tokens / 1e6:.2f}M tokens: {spelled}")

    def _save(self, name: str = LATEST) -> None:
        learner, record = self.learner, self.record.spelled()
        save_checkpoint(self.settings.out_dir, learner.model, learner.optimizers, record, name)

    def _resume(self) -> None:
        """Continues from the last checkpoint. With another budget, a run in its decay returns to
        where the decay began, because annealed weights are a poor start for full learning rates."""
        checkpoint = read_checkpoint(self.settings.out_dir)
        if checkpoint is None:
            return
        refuse_other(checkpoint.record, self.record.spelled())
        other = checkpoint.record["budget"] != self.record.budget
        if other and checkpoint.record["decaying"]:
            checkpoint = read_checkpoint(self.settings.out_dir, BEFORE_DECAY) or checkpoint
        checkpoint.fill(self.learner.model, self.learner.optimizers)
        self.record = Record(**{**checkpoint.record, "budget": self.record.budget})
        if other and self._share() >= 1.0:
            raise BadInput(
                f"the run has taken {self.record.seconds / 60:.1f} minutes and {self.record.steps}"
                f" steps without its decay, all of {self.budget}; raise it"
            )
        print(f"continuing at step {self.record.steps}, {self.record.tokens / 1e6:.2f}M tokens")

    def _show(self, bar: tqdm[Any], share: float) -> None:
        bar.update(round(1000 * share) - bar.n)
        record = self.record
        record.read()
        bar.set_postfix_str(
            f"loss {record.losses[-1]:.3f}, {record.tokens_per_second:.0f} tokens/s,"
            f" {record.share_of(self.peak):.0%} of peak"
        )


def _bar() -> tqdm[Any]:
    return tqdm(total=1000, bar_format="{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}")
