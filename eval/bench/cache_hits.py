"""Measures the time until a task has an adapter: by a guarded hit, and by a full training.

Both use the same tasks and base, and neither writes an answer.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from client.arc_solver import ArcSolver
from client.opening import open_adaptation
from client.settings import Settings
from hone.errors import BadInput
from hone.settings import make_settings

if TYPE_CHECKING:
    from arc.task import Task


@dataclass(frozen=True)
class Hits:
    """Medians, in seconds per task."""

    training: float
    hit: float
    hit_in_memory: float
    decisions: list[str]  # how each task was adapted from disk; the guard may refuse a hit

    @property
    def speedup(self) -> float:
        return round(self.training / self.hit, 1)

    def told(self) -> dict[str, Any]:
        return {
            "training_s": round(self.training, 4),
            "hit_s": round(self.hit, 5),
            "hit_in_memory_s": round(self.hit_in_memory, 5),
            "speedup_in_memory": round(self.training / self.hit_in_memory, 1),
            "decisions": self.decisions,
        }


def hit_beside_training(model_path: str, out_dir: Path, count: int, seed: int) -> Hits:
    tasks = _tasks(count, seed)
    folder = out_dir / f"hits-{uuid4().hex[:8]}"
    try:
        with _solver(model_path, folder / "warm") as solver:
            _seconds(solver, tasks[0])  # warm-up: compiles kernels and reads weights
        with _solver(model_path, folder) as solver:
            training = [_seconds(solver, task)[0] for task in tasks]
        with _solver(model_path, folder) as solver:
            read = [_seconds(solver, task) for task in tasks]
            held = [_seconds(solver, task)[0] for task in tasks]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    hits = [seconds for seconds, decision in read if decision == "hit"]
    if not hits:
        raise BadInput(f"the guard refused all of {len(tasks)} adapters; give more --tasks")
    return Hits(
        statistics.median(training),
        statistics.median(hits),
        statistics.median(held),
        [decision for _, decision in read],
    )


@contextmanager
def _solver(model_path: str, folder: Path) -> Iterator[ArcSolver]:
    """A newly opened solver, whose adapters are in the folder only, not in memory."""
    settings = make_settings(
        Settings,
        {
            "model_path": model_path,
            "k": 1,
            "num_ttt_samples": 0,
            "local_adapter_managing": True,
            "local_adapter_manager_dir": folder,
            "local_adapter_manager_size": 1000,
            "local_adapter_manager_threshold": 0.999,
            "local_adapter_manager_guard": True,
        },
    )
    with open_adaptation(settings, "arc") as adaptation:
        yield ArcSolver(adaptation)


def _seconds(solver: ArcSolver, task: Task) -> tuple[float, str]:
    """Seconds from a task to its adapter, and how the task was adapted."""
    begun = time.perf_counter()
    ((_, adapted),) = solver.adapted([task])
    return time.perf_counter() - begun, adapted.trace["decision"]


def _tasks(count: int, seed: int) -> list[Task]:
    """One task from each of the first `count` held-out families."""
    from arc.generators import held_out_families, sample_task

    families = held_out_families()
    if count > len(families):
        raise BadInput(f"--tasks is {count}, there are {len(families)} families to draw from")
    return [sample_task(family, seed) for family in families[:count]]
