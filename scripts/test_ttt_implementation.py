"""Checks in seconds whether test-time training works here: each part, then training on a task.

    python scripts/test_ttt_implementation.py

Ends with exit code 1 at the first part that fails.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from mmap import PAGESIZE, mmap
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from client.settings import BUNDLED_BASE, Settings  # noqa: E402
from hone.errors import run_command  # noqa: E402
from hone.settings import PLATFORMS, make_settings, option, read_settings  # noqa: E402

if TYPE_CHECKING:
    from arc.task import Task

STRATEGY = ROOT / "configs" / "strategies" / "ttt.yaml"
EXAMPLE = "data/examples/swap_colours-3.json"
HELD = 64 << 20  # bytes; mapped, since a tensor might reuse memory that the process already holds


@dataclass(frozen=True)
class ValidationSettings:
    task: Path = option(ROOT / EXAMPLE, "ARC task file to train on and answer", shown=EXAMPLE)
    model_path: str = option(
        str(BUNDLED_BASE), "folder or hub id of the frozen base", shown="models/arc-base"
    )
    steps: int = option(20, "training steps", low=2)


class Fails(Exception):
    """A part of test-time training that does not work as it should."""


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        ValidationSettings, argv, env_prefix="HONE_VALIDATION_", description=__doc__ or ""
    )
    for name, part in parts(settings):
        begun = time.monotonic()
        try:
            said = part()
        except Fails as error:
            print(f"{name:14} fails: {error}")
            return 1
        print(f"{name:14} {said} ({time.monotonic() - begun:.1f} s)")
    print("test-time training works here")
    return 0


def parts(settings: ValidationSettings) -> Iterator[tuple[str, Callable[[], str]]]:
    from arc.readers import read_task

    task = read_task(settings.task)
    yield "data", lambda: pseudo_tasks(task)
    yield "votes", votes
    yield "configuration", configuration
    yield "memory", memory
    yield "training", lambda: training(task, settings)


def pseudo_tasks(task: Task) -> str:
    """Every augmentation of a task can be inverted."""
    from arc.grid import spell
    from arc.pseudo import augmented_pseudo_tasks

    outputs = {spell(pair.output) for pair in task.train if pair.output is not None}
    made = augmented_pseudo_tasks(task, 32, seed=0)
    for look, pseudo in made:
        answer = pseudo.test[0].output
        if answer is None or spell(look.invert(answer)) not in outputs:
            raise Fails(f"{look.name} cannot be turned back")
    return f"{len(made)} tasks out of {len(task.train)} demos, each turned back"


def votes() -> str:
    """The grid that most views wrote is ranked first by every voter."""
    from arc.grid import grid, same
    from arc.voting import VOTERS, Candidate, vote

    right, wrong = grid([[1, 2], [3, 4]]), grid([[1, 2], [3, 3]])
    views = ["identity", "rot90", "rot180", "fliplr"]
    # log-probabilities of the grid that three of the four views wrote
    experts = (-0.1, -0.1, -0.1, -3.0)
    written = [Candidate(right, view, -0.1, experts=experts) for view in views[:3]]
    written.append(Candidate(wrong, views[3], -0.1, experts=(-3.0, -3.0, -3.0, -0.1)))
    for name in VOTERS:
        first, share = vote(written, voting=name)[0]
        if not same(first, right) or share <= 0.5:
            raise Fails(f"{name} does not choose what three of four views wrote")
    return f"{', '.join(VOTERS)}: three of four views win"


def configuration() -> str:
    """The strategy file can be read, together with every platform."""
    from client.strategy import KEYS

    names = sorted(file.stem for file in PLATFORMS.glob("*.yaml"))
    for name in ("", *names):
        found = make_settings(Settings, {"platform": name}, config=STRATEGY)
        if (found.lora_rank, found.num_epochs, found.steps) != (64, 1, 0):
            raise Fails(f"{STRATEGY} is not what is read with --platform {name}")
    return f"{len(KEYS)} keys of {STRATEGY.name}; platforms {', '.join(names)}"


def memory() -> str:
    """The memory monitor sees the process grow."""
    import torch

    from models.memory.monitor import MemoryMonitor

    with MemoryMonitor(torch.device("cpu")) as monitor, mmap(-1, HELD) as held:
        before = monitor.now()
        for page in range(0, HELD, PAGESIZE):
            held[page] = 1
        grown = monitor.now() - before
    if grown < HELD // 2:
        raise Fails(f"{HELD >> 20} MB more are seen as {grown >> 20} MB")
    return f"{HELD >> 20} MB more are seen as {grown >> 20} MB"


def training(task: Task, settings: ValidationSettings) -> str:
    """Training on the demos lowers the loss, and the task is answered."""
    from client.api import open_solver

    chosen = {"model_path": settings.model_path, "steps": settings.steps, "num_ttt_samples": 0}
    with open_solver(**chosen) as solver:
        answer = solver.solve(task)
    losses = answer.metadata.get("losses", [])
    if len(losses) < 2 or not losses[-1] < losses[0]:
        raise Fails(f"{task.id} ended as {answer.metadata['decision']!r}, with the losses {losses}")
    known = {True: "solved", False: "not solved", None: "answered"}[answer.solved]
    fall = f"loss {losses[0]:.2f} -> {losses[-1]:.2f} in {len(losses)} steps"
    return f"{fall}; {task.id} {known}, {answer.confidence:.0%} sure"


if __name__ == "__main__":
    run_command(main)
