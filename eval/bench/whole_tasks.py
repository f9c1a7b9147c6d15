"""Runs both sides of `solve` over the same tasks, and keeps their results on disk."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from client.adaptation import Progress
from client.arc_solver import ArcSolver
from client.opening import open_adaptation, open_base
from eval.bench import machine
from eval.bench.peft_seat import MODES, Feed, Mode, PeftSeat, check_mode, modes_for
from eval.bench.peft_tasks import Done, PeftTasks, job_of, targets_of
from eval.bench.probing import forget_compiled, probe
from hone.errors import BadInput
from hone.files import short_hash
from hone.journal import Journal, Line
from hone.settings import as_plain
from models.base import LARGE, Base
from models.matrix_speed import now, seconds_of
from models.memory.allocator import keep_for_the_next_step
from models.multilora import native_library
from models.multilora.placement import Placement

if TYPE_CHECKING:
    from arc.task import Task
    from client.jobs import Job
    from eval.bench.solve import SolveSettings

PROBE_BUDGET = 120.0  # seconds of trying PEFT's modes, after which no further mode is compiled
_NOT_SHAPING = ("out_dir", "tasks", "preset", "local_adapter_manager_dir", "peft_mode")


class WholeTasks:
    def __init__(self, settings: SolveSettings, tasks: Sequence[Task], progress: Progress) -> None:
        self.settings, self.tasks, self.progress = settings, tasks, progress
        self.journal = Journal(settings.out_dir / "solve.jsonl")
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.threads = torch.get_num_threads()
        self.device = machine.open_device(settings.device)
        keep_for_the_next_step()  # for all sides, because the client does so too
        check_mode(settings.peft_mode, self.device)
        if Placement.parse(settings.adapter_layers).on_states:
            raise BadInput("--adapter_layers head has no counterpart in PEFT; give all or top:N")
        plain = as_plain(settings)
        self.how = {
            **{name: value for name, value in plain.items() if name not in _NOT_SHAPING},
            **machine.versions(),
            "machine": machine.device_name(self.device),
            "threads": self.threads,
            "threads_wait": machine.waiting(),
            "code": machine.code_hash("models", "client", "arc", "eval/bench"),
        }

    def hone(self) -> Line:
        """The result of this engine for all tasks, in its own groups."""
        names = [task.id for task in self.tasks]
        key = short_hash("hone", self.how, names)
        return self.journal.find(key) or self.journal.add(key, self._by_hone())

    def _by_hone(self) -> Line:
        with open_adaptation(self.settings, "arc", self.progress) as adaptation:
            solver = ArcSolver(adaptation)
            compiling = seconds_of(compile_kernels, self.device)
            begun = now(self.device)
            solutions = solver.solve(self.tasks, adapt=True)
            seconds = compiling + now(self.device) - begun
            dtype = str(adaptation.base.dtype).removeprefix("torch.")
        spent = [solution.trace["seconds"] for solution in solutions]
        return {
            "side": "hone",
            "seconds": round(seconds, 3),
            "compile_s": round(compiling, 2),
            "train_s": round(sum(one.get("train", 0.0) for one in spent), 2),
            "generate_s": round(sum(one["generate"] for one in spent), 2),
            "right": [bool(solution.right) for solution in solutions],
            "dtype": dtype,
        }

    def peft(self) -> list[Line]:
        """The results of stock PEFT, one task at a time."""
        keys = [short_hash("peft", self.how, self.peft_mode, task.id) for task in self.tasks]
        lines = [self.journal.find(key) for key in keys]
        sequential = self._sequential(resumed=any(lines)) if None in lines else None
        for i, (key, task) in enumerate(zip(keys, self.tasks, strict=True)):
            self.progress("tasks by PEFT", i, len(self.tasks))
            if lines[i] is None and sequential is not None:
                lines[i] = self.journal.add(key, _told(task, sequential.solve(task)))
        return [line for line in lines if line is not None]

    def _sequential(self, *, resumed: bool) -> PeftTasks:
        """The loaded PEFT side. Compiling is timed with the first task; a resumed run, which has
        timed it before, compiles here."""
        forget_compiled(on_disk=True)
        mode = MODES[self.peft_mode]
        base = self._open_base(mode)
        sequential = PeftTasks(base, mode, self._job(base).spec, self.settings)
        if resumed:
            sequential.warm_up(self.tasks[0])
        return sequential

    @cached_property
    def peft_mode(self) -> str:
        if self.settings.peft_mode != "auto":
            return self.settings.peft_mode
        key = short_hash("probe", self.how, len(self.tasks), self.tasks[0].id)
        line = self.journal.find(key) or self.journal.add(key, self._probed())
        return str(line["peft_mode"])

    def _probed(self) -> Line:
        """Measures steps of the first task in every mode; chooses the fastest mode for all
        tasks."""
        base = open_base(self.settings)
        job = self._job(base)
        first = Feed.of([item.encoded for item in next(job.batches())], self.device)
        modes = modes_for(self.device, large=base.parameters >= LARGE)
        targets = targets_of(base, self.settings)

        def open_seat(mode: Mode) -> PeftSeat:
            model = self._open_base(mode).model
            return PeftSeat(model, mode, job.spec, targets, any_length=True)

        found = probe(modes, first, open_seat, PROBE_BUDGET)
        return {
            "peft_mode": found.fastest(steps=job.steps * len(self.tasks)).mode.name,
            "step_ms": {one.mode.name: round(one.step_s * 1e3, 2) for one in found.tried},
            "first_s": {one.mode.name: round(one.first_s, 2) for one in found.tried},
            "skipped": found.skipped,
        }

    def _open_base(self, mode: Mode) -> Base:
        return open_base(dataclasses.replace(self.settings, dtype=mode.weights))

    def _job(self, base: Base) -> Job:
        """The job of the first task that has one. Hyperparameters are the same for all tasks."""
        jobs = (job_of(task, base, self.settings) for task in self.tasks)
        job = next((job for job in jobs if job is not None), None)
        if job is None:
            raise BadInput(
                f"none of the {len(self.tasks)} tasks has an item that fits into the {base.context}"
                f" tokens that {base.path} reads; raise --max_len or name another base"
            )
        return job


def compile_kernels() -> None:
    """Compiles this engine's C++, as on a machine that has never compiled it."""
    kept = os.environ.get("XDG_CACHE_HOME")
    native_library.library.cache_clear()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        try:
            native_library.library()
        finally:
            del os.environ["XDG_CACHE_HOME"]
            if kept is not None:
                os.environ["XDG_CACHE_HOME"] = kept


def _told(task: Task, done: Done) -> Line:
    return {
        "side": "peft",
        "task": task.id,
        "seconds": round(done.train_s + done.generate_s, 3),
        "train_s": round(done.train_s, 3),
        "generate_s": round(done.generate_s, 3),
        "right": done.right,
    }
