"""Measures when retrieved tasks help in training, and when they hurt.

    python eval/retrieval.py --data_dir data/evaluation --knowledge_base_path knowledge_base \\
        --num_ttt_samples 4 --weights 0.1 0.5

"Off" trains each task on its own demos only; the other rows add `--num_ttt_samples` retrieved tasks
with each of the mixing weights. Below each weight's row, tasks are divided into `--bins` groups of
about the same size by the similarity of their nearest neighbour. Neighbours that were withheld
because they show the answer do not count as near. Every task is on disk as soon as it is answered;
a run that is started again skips it. Prints a table in Markdown; the last line is one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.settings import Settings
from eval.variants import Row, compared, rate_cells, refuse_kept_adapters, run_all, varied
from hone.errors import BadInput, run_command
from hone.files import write_json
from hone.settings import option, read_settings


@dataclass(frozen=True)
class RetrievalEvalSettings(Settings):
    data_dir: Path | None = option(None, "folder of ARC tasks, a task file, Kaggle's challenges")
    out_dir: Path = option(
        Path("runs/retrieval"), "folder for retrieval.json, and a file for every task"
    )
    limit: int = option(0, "number of tasks, drawn by the seed; 0: all", low=0)
    weights: tuple[float, ...] = option(
        (0.1, 0.5), "values of --retrieved_weight to compare", above=0, high=100
    )
    bins: int = option(3, "number of groups by the nearest neighbour's similarity", low=1)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        RetrievalEvalSettings, argv, env_prefix="HONE_RETRIEVAL_", description=__doc__ or ""
    )
    refuse_kept_adapters(settings)
    if settings.num_ttt_samples == 0:
        raise BadInput("--num_ttt_samples is 0, so nothing would be retrieved; give 1 or more")
    if not (settings.server_url or settings.knowledge_base_path):
        raise BadInput("nowhere to retrieve from; give --knowledge_base_path or --server_url")
    measured = measure(settings)
    print(table(measured["rows"]))
    print(json.dumps(measured))
    return 0


def measure(settings: RetrievalEvalSettings) -> dict[str, Any]:
    """Rows for each weight, for all tasks and by similarity, also written to `retrieval.json`."""
    from eval.arc_eval import drawn_tasks

    tasks = drawn_tasks(settings.data_dir, seed=settings.seed, limit=settings.limit)
    with_samples = {
        f"weight {weight:g}": varied(settings, retrieved_weight=weight)
        for weight in settings.weights
    }
    off = {"off": varied(settings, num_ttt_samples=0)}
    run = run_all({**with_samples, **off}, tasks, settings.out_dir)
    without = run.rows.pop("off")
    measured = {
        "bench": "retrieval",
        "base": run.base,
        "device": run.device,
        "num_ttt_samples": settings.num_ttt_samples,
        "rows": [
            {"samples": "off", "tasks_of": "all", **compared(without, without)},
            *(
                {"samples": name, **row}
                for name, rows in run.rows.items()
                for row in by_nearness(rows, without, settings.bins)
            ),
        ],
    }
    write_json(settings.out_dir / "retrieval.json", measured)
    return measured


def by_nearness(rows: Sequence[Row], without: Sequence[Row], bins: int) -> list[dict[str, Any]]:
    """A row for all tasks, then one per group, from the least similar neighbours to the most."""
    near = {i: found for i, row in enumerate(rows) if (found := nearest(row)) is not None}
    order = sorted(near, key=lambda i: near[i])
    groups = [order[len(order) * b // bins : len(order) * (b + 1) // bins] for b in range(bins)]
    told = [{"tasks_of": "all", **compared(rows, without)}]
    for group in filter(None, groups):
        span = [round(near[group[0]], 4), round(near[group[-1]], 4)]
        sides = [rows[i] for i in group], [without[i] for i in group]
        told.append({"tasks_of": f"nearest {span[0]:.2f} to {span[1]:.2f}", **compared(*sides)})
    return told


def nearest(row: Row) -> float | None:
    """The similarity of the nearest task that was trained on; None if there was none."""
    found = [hit["score"] for hit in row["trace"]["retrieved"] if not hit.get("withheld")]
    return max(found, default=None)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| retrieved | tasks | solved | 95 % | against off | 95 % | p | won | lost |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['samples']} | {row['tasks_of']} | {rate_cells(row)}"
        f" | {row['won']} | {row['lost']} |"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
