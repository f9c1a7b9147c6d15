"""Solves ARC tasks with stock PEFT, one at a time, as fast as PEFT fairly allows.

Training items, their order and batches, the schedule and the adapter's first values are those of
this engine; the step is PEFT's and torch's. The answers under all views are written in one batch
with the model's key-value cache and the adapter merged. `generate` cannot be used directly, because
on a canvas the next token's position is not always one to the right. The loop below asks the format
for each row's next position, and costs what `generate` with a hook for this would cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

from arc.candidates import Candidate
from arc.scoring import right_outputs
from arc.voting import vote
from client.adaptation import Adaptation
from client.arc_items import training_items
from client.views import longest_answer, view_prompts, views
from eval.bench.peft_seat import Feed, Mode, PeftSeat
from eval.bench.sides import first_values
from models.batch import left_padded
from models.decoding.cache_argument import cache_argument
from models.matrix_speed import now
from models.multilora.targets import find_targets

if TYPE_CHECKING:
    from arc.candidates import Candidate
    from arc.formats import ArcFormat, Encoded
    from arc.grid import Grid
    from arc.task import Task
    from client.jobs import Item, Job
    from client.settings import Settings
    from models.base import Base
    from models.multilora.bank import SlotSpec


@dataclass(frozen=True)
class Done:
    right: bool
    train_s: float
    generate_s: float


class PeftTasks:
    def __init__(self, base: Base, mode: Mode, spec: SlotSpec, settings: Settings) -> None:
        self.base, self.settings = base, settings
        targets = targets_of(base, settings)
        self.start = first_values(base.model, [spec], targets)[0]  # before PEFT changes the model
        spec = dataclasses.replace(spec, rank=self.start.rank)  # lower if a layer is too narrow
        self.seat = PeftSeat(base.model, mode, spec, targets, any_length=True)

    def solve(self, task: Task) -> Done:
        begun = now(self.base.device)
        self.train(job_of(task, self.base, self.settings))
        between = now(self.base.device)
        attempts = self.answer(task)
        return Done(
            all(right_outputs(task, attempts)), between - begun, now(self.base.device) - between
        )

    def warm_up(self, task: Task) -> None:
        """Compiles the model, if the mode compiles."""
        job = job_of(task, self.base, self.settings)
        if job is not None:
            self._step(next(job.batches()), 0.0)

    def train(self, job: Job | None) -> None:
        self.seat.enter(self.start)
        if job is None:  # the base answers, as in this engine
            return
        for step, batch in zip(range(job.steps), job.batches(), strict=False):
            self._step(batch, job.rate_share(step))

    def _step(self, batch: Sequence[Item], rate_share: float) -> None:
        feed = Feed.of([item.encoded for item in batch], self.base.device)
        self.seat.step(feed, rate_share)

    def answer(self, task: Task) -> list[list[Grid]]:
        """The attempts for each test input."""
        with self._merged():
            return [self._attempts(task.with_test(i)) for i in range(len(task.test))]

    def _attempts(self, task: Task) -> list[Grid]:
        form, context = self.base.format, self.base.context
        chosen = self.settings
        looks = views(task, chosen.views, chosen.seed, chosen.view_changes)
        prompts = view_prompts(task, looks, form, context, chosen.direct_pairs)
        fitting = [(look, p) for look, p in zip(looks, prompts, strict=True) if p is not None]
        if not fitting:
            return []
        enough = longest_answer(task, form)
        rooms = [min(enough, context - len(prompt)) for _, prompt in fitting]
        written = write(self.base.model, form, [prompt for _, prompt in fitting], rooms)
        grids = [form.parse(tokens) for tokens in written]
        candidates = [
            Candidate(None if grid is None else look.invert(grid), look.name)
            for grid, (look, _) in zip(grids, fitting, strict=True)
        ]
        return [grid for grid, _ in vote(candidates, self.settings.attempts)]

    @contextmanager
    def _merged(self) -> Iterator[None]:
        """Merges the adapter into the weights; afterwards these are restored bit for bit."""
        weights = [
            module.get_parameter("base_layer.weight")
            for module in self.base.model.modules()
            if hasattr(module, "base_layer")
        ]
        before = [weight.detach().clone() for weight in weights]
        self.seat.model.merge_adapter()
        # the compiled code is for training
        with torch.compiler.set_stance("force_eager"):
            yield
        self.seat.model.unmerge_adapter()
        with torch.no_grad():
            for weight, value in zip(weights, before, strict=True):
                weight.copy_(value)


def targets_of(base: Base, settings: Settings) -> list[str]:
    """The full names of the layers that this engine adapts, so that PEFT adapts the same."""
    return list(find_targets(base.model, settings.target_modules, settings.adapter_layers))


def job_of(task: Task, base: Base, settings: Settings) -> Job | None:
    """The job by which this engine trains the task from its own demos; None if nothing fits."""
    items = training_items(task, [], base.format, base.context, settings).items
    return Adaptation(base, settings)._job(items) if items else None


@torch.inference_mode()
def write(
    model: Any, form: ArcFormat, prompts: Sequence[Encoded], rooms: Sequence[int]
) -> list[list[int]]:
    """The likeliest tokens after every prompt, until each row has stopped or filled its room."""
    cursors = [form.cursor(prompt) for prompt in prompts]
    written: list[list[int]] = [[] for _ in prompts]
    places = [int(prompt.positions[-1]) for prompt in prompts]
    going = [room > 0 for room in rooms]
    ids, positions, mask = left_padded(prompts, model.device)
    cache = DynamicCache(config=model.config)
    while any(going):
        out = model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask,
            **cache_argument(model, cache),
            use_cache=True,
            logits_to_keep=1,
        )
        tokens = out.logits[:, -1].argmax(-1)
        for i, token in enumerate(tokens.tolist()):
            if going[i]:
                written[i].append(token)
                places[i] = cursors[i].advance(token)
                going[i] = token != form.stop and len(written[i]) < rooms[i]
        ids = tokens[:, None]
        positions = torch.tensor(places, device=ids.device)[:, None]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    return written
