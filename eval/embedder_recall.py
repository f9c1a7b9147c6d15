"""Measures embedders: how often the tasks nearest to a task are of the same kind.

    python eval/embedder_recall.py --families held_out --count 8
    python eval/embedder_recall.py --embedders arc minilm --data_dir data/one_d

A task's kind is its family, or its file's name without the number at the end. Recall at k is the
share of tasks that have one of their own kind among the k nearest. A text embedder reads a task as
a language model does, in digits.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from arc.task import Task
    from models.embedder import Embedder, Vectors

KS = (1, 5)


@dataclass(frozen=True)
class RecallSettings:
    embedders: tuple[str, ...] = option(("arc",), "embedders to measure, one after another")
    data_dir: Path | None = option(None, "folder of tasks named by their kinds")
    families: str = option(
        "all", "families to use without --data_dir: all, training, held_out, or names"
    )
    count: int = option(4, "number of tasks of each family", low=2)
    seed: int = option(0, "seed of a family's first task; its next task has the next seed", low=0)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        RecallSettings, argv, env_prefix="HONE_RECALL_", description=__doc__ or ""
    )
    tasks, kinds = tasks_by_kind(settings)
    print(f"{len(tasks)} tasks of {len(set(kinds))} kinds; chance at 1: {chance(kinds):.3f}")
    first: list[bool] = []
    for name in settings.embedders:
        found = found_within(embedded(name, tasks), kinds)
        compared = f", p = {_p(first, found[1]):.2g} against the first" if first else ""
        print(f"{name}: {'; '.join(_told(k, found[k]) for k in KS)}{compared}")
        first = first or found[1]
    return 0


def tasks_by_kind(settings: RecallSettings) -> tuple[list[Task], list[str]]:
    """Tasks and their kinds. A task that is the only one of its kind is left out."""
    named = _read(settings.data_dir) if settings.data_dir else _drawn(settings)
    sizes = Counter(kind for _, kind in named)
    kept = [(task, kind) for task, kind in named if sizes[kind] > 1]
    if not kept:
        raise BadInput(
            f"--data_dir {settings.data_dir} has no two tasks of one kind, by their names; name"
            " another folder"
        )
    return [task for task, _ in kept], [kind for _, kind in kept]


def kind_of(task_id: str) -> str:
    """The kind by a task's name: `1d_fill` for `1d_fill_12`, `AboveBelow` for `AboveBelow3`."""
    return re.sub(r"[_-]?\d+$", "", task_id)


def embedded(name: str, tasks: Sequence[Task]) -> Vectors:
    from arc.digits import task_text
    from models.embedder import open_embedder

    embedder: Embedder = open_embedder(name)
    if embedder.kind == "arc":
        return embedder.embed(tasks, progress=True)
    return embedder.embed([task_text(task) for task in tasks], progress=True)


def found_within(vectors: Vectors, kinds: Sequence[str]) -> dict[int, list[bool]]:
    """For each k, whether a task has one of its own kind among its k nearest."""
    import numpy as np

    own = np.array(kinds)
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    nearest: npt.NDArray[np.int64] = np.argsort(-likeness, axis=1, kind="stable")
    hits = own[nearest[:, : max(KS)]] == own[:, None]
    return {k: hits[:, :k].any(axis=1).tolist() for k in KS}


def chance(kinds: Sequence[str]) -> float:
    """Recall at 1 of a random neighbour."""
    sizes = Counter(kinds)
    return sum(size * (size - 1) for size in sizes.values()) / (len(kinds) * (len(kinds) - 1))


def _read(folder: Path) -> list[tuple[Task, str]]:
    from arc.readers import read_tasks

    return [(task, kind_of(task.id)) for task in read_tasks(folder)]


def _drawn(settings: RecallSettings) -> list[tuple[Task, str]]:
    from arc.generators import sample_task
    from arc.generators.__main__ import families_named

    seeds = range(settings.seed, settings.seed + settings.count)
    chosen = families_named(settings.families)
    return [(sample_task(family, seed), family.name) for family in chosen for seed in seeds]


def _told(k: int, found: Sequence[bool]) -> str:
    from arc.scoring import wilson

    low, high = wilson(sum(found), len(found))
    return f"recall@{k} {sum(found) / len(found):.3f} (95 %: {low:.3f} to {high:.3f})"


def _p(a: Sequence[bool], b: Sequence[bool]) -> float:
    from arc.scoring import mcnemar

    return mcnemar(a, b)


if __name__ == "__main__":
    run_command(main)
