"""Measures the effect of the training queue's order: the same tasks are trained in each order.

    python eval/queue_orders.py --data_dir data/evaluation --limit 64 --k 8 --stop_when_solved 3

Trains without answering. The order matters only if trainings differ in length: with a fixed number
of steps they differ only by the lengths of their items, with `--steps 0` by the number of items,
and with `--stop_when_solved`, `--plateau_patience` or `--max_training_time` by what each needs. A
slot that is idle while others train is counted as wasting as many tokens as each of the others
trained. Orders take turns, `--repeats` times; the last line is one JSON object with the medians.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.queue_order import ORDERS
from client.settings import Settings
from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from arc.task import Task
    from client.adaptation import Adaptation


@dataclass(frozen=True)
class QueueOrdersSettings(Settings):
    data_dir: Path | None = option(None, "folder of ARC tasks, a task file, Kaggle's challenges")
    limit: int = option(0, "number of tasks to train, drawn by the seed; 0: all", low=0)
    orders: tuple[str, ...] = option(ORDERS, "the orders to measure", choices=ORDERS)
    repeats: int = option(3, "how often each order is measured", low=1)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        QueueOrdersSettings, argv, env_prefix="HONE_QUEUE_ORDERS_", description=__doc__ or ""
    )
    if settings.local_adapter_managing:
        raise BadInput("kept adapters would be reused; leave --local_adapter_managing out")
    measured = measure(settings)
    for row in measured["rows"]:
        print(
            f"{row['order']:8} {row['seconds']:8.1f} s  {row['tokens_per_s']:9.0f} tokens/s"
            f"  {row['wasted_share']:6.1%} wasted in idle slots"
        )
    print(json.dumps(measured))
    return 0


def measure(settings: QueueOrdersSettings) -> dict[str, Any]:
    from tqdm import tqdm

    from client.opening import open_adaptation
    from eval.arc_eval import drawn_tasks

    tasks = drawn_tasks(settings.data_dir, seed=settings.seed, limit=settings.limit)
    runs: dict[str, list[dict[str, float]]] = {order: [] for order in settings.orders}
    with (
        open_adaptation(settings, "arc") as adaptation,
        tqdm(total=len(tasks) * settings.repeats * len(runs), unit="task", disable=None) as bar,
    ):
        for _ in range(settings.repeats):
            for order in runs:
                bar.set_description_str(order)
                runs[order].append(one_run(adaptation, tasks, order, bar))
    return {
        "bench": "queue_orders",
        "device": str(next(adaptation.base.model.parameters()).device),
        "threads": _threads(),
        "tasks": len(tasks),
        "k": settings.k,
        "rows": [{"order": order, **_medians(found)} for order, found in runs.items()],
    }


def one_run(
    adaptation: Adaptation, tasks: Sequence[Task], order: str, bar: Any
) -> dict[str, float]:
    import dataclasses

    from client.adaptation import timed
    from client.arc_solver import ArcSolver

    ordered = dataclasses.replace(adaptation.settings, queue_order=order)
    solver = ArcSolver(dataclasses.replace(adaptation, settings=ordered))
    traces = []
    with timed() as running:
        for _, adapted in solver.adapted(tasks):
            traces.append(adapted.trace)
            bar.update()
    return {"seconds": running.seconds, **spent(traces, running.seconds)}


def spent(traces: Iterable[Mapping[str, Any]], seconds: float) -> dict[str, float]:
    """Tokens trained on and tokens wasted, from the schedule in the traces."""
    from client.seating import Seating

    seating = Seating.from_traces(traces)
    tokens = [0] * seating.steps
    taken = [0] * seating.steps
    for sitting in seating.sittings:
        for step, count in enumerate(sitting.step_tokens, sitting.entered_at):
            tokens[step] += count
            taken[step] += 1
    wasted = sum((seating.slots - n) * t / n for n, t in zip(taken, tokens, strict=True))
    return {
        "steps": seating.steps,
        "tokens": sum(tokens),
        "tokens_per_s": sum(tokens) / seconds,
        "idle_slot_steps": sum(seating.slots - n for n in taken),
        "wasted_tokens": wasted,
        "wasted_share": wasted / (wasted + sum(tokens)),
    }


def _medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    from statistics import median

    return {name: round(median(run[name] for run in runs), 4) for name in runs[0]}


def _threads() -> int:
    import torch

    return torch.get_num_threads()


if __name__ == "__main__":
    run_command(main)
