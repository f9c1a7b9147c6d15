"""Compares strict and cohort mode on the same tasks.

    python eval/modes.py --data_dir data/evaluation --limit 40

In strict mode, each task is trained on its own demos only, on top of a base that has seen none of
them. In cohort mode, the demos of all drawn tasks first train one shared adapter; its seconds are
divided among the tasks. Every task is on disk as soon as it is answered, and so are checkpoints of
the shared adapter; a run that is started again resumes. Prints a table in Markdown; the last line
is one JSON object.
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
from eval.variants import (
    Row,
    compared,
    rate_cells,
    refuse_kept_adapters,
    run_all,
    seconds_a_task,
    varied,
)
from hone.errors import run_command
from hone.files import write_json
from hone.settings import option, read_settings

MODES = ("strict", "cohort")


@dataclass(frozen=True)
class ModesSettings(Settings):
    data_dir: Path | None = option(None, "folder of ARC tasks, a task file, Kaggle's challenges")
    out_dir: Path = option(Path("runs/modes"), "folder for modes.json, and a file for every task")
    limit: int = option(0, "number of tasks, drawn by the seed; 0: all", low=0)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        ModesSettings, argv, env_prefix="HONE_MODES_", description=__doc__ or ""
    )
    refuse_kept_adapters(settings)
    measured = measure(settings)
    print(table(measured["rows"]))
    print(json.dumps(measured))
    return 0


def measure(settings: ModesSettings) -> dict[str, Any]:
    """A row for each mode, also written to `modes.json`."""
    from eval.arc_eval import drawn_tasks

    tasks = drawn_tasks(settings.data_dir, seed=settings.seed, limit=settings.limit)
    run = run_all({name: varied(settings, mode=name) for name in MODES}, tasks, settings.out_dir)
    measured = {
        "bench": "modes",
        "base": run.base,
        "device": run.device,
        "shared": run.rows["cohort"][0]["trace"]["stands_on"],
        "rows": [summarize(name, rows, run.rows["strict"]) for name, rows in run.rows.items()],
    }
    write_json(settings.out_dir / "modes.json", measured)
    return measured


def summarize(mode: str, rows: Sequence[Row], strict: Sequence[Row]) -> dict[str, Any]:
    phases = {"shared_s": "shared", "training_s": "train", "generating_s": "generate"}
    seconds = {name: seconds_a_task(rows, phase) for name, phase in phases.items()}
    return {"mode": mode, **compared(rows, strict), **seconds}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| mode | solved | 95 % | against strict | 95 % | p | shared training, s a task"
        " | own training, s a task | generating, s a task |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        seconds = " | ".join(
            f"{row[name]:.2f}" for name in ("shared_s", "training_s", "generating_s")
        )
        lines.append(f"| {row['mode']} | {rate_cells(row)} | {seconds} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
