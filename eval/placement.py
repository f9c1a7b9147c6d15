"""Measures adapters on a part of the layers: solve rate against seconds.

    python eval/placement.py --data_dir data/evaluation --num_pseudo 32

Uses the same tasks, items, steps and seed with adapters on all layers, on the last few, and on the
head's input. If not all layers are adapted, the layers below are computed once per item; this saves
time if steps x batch are several times the items, so give fewer items than the preset makes. Every
task is on disk as soon as it is answered; a run that is started again skips it and keeps its times.
Prints a table in Markdown; the last line is one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.settings import Settings
from eval.variants import (
    Row,
    compared,
    refuse_kept_adapters,
    rows_of,
    said_leaks,
    seconds_a_task,
    varied,
)
from hone.errors import run_command
from hone.files import check_writable, write_json
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from client.adaptation import Adaptation


@dataclass(frozen=True)
class PlacementSettings(Settings):
    data_dir: Path | None = option(None, "folder of ARC tasks, a task file, Kaggle's challenges")
    out_dir: Path = option(
        Path("runs/placement"), "folder for placement.json, and a file for every task"
    )
    limit: int = option(0, "number of tasks, drawn by the seed; 0: all", low=0)
    placements: tuple[str, ...] = option(
        ("all", "top:2", "top:1", "head"), "values of --adapter_layers to compare"
    )


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        PlacementSettings, argv, env_prefix="HONE_PLACEMENT_", description=__doc__ or ""
    )
    refuse_kept_adapters(settings)
    measured = measure(settings)
    print(table(measured["rows"]))
    print(json.dumps(measured))
    return 0


def measure(settings: PlacementSettings) -> dict[str, Any]:
    """A row for each placement, also written to `placement.json`."""
    import torch
    from tqdm import tqdm

    from client.opening import open_adaptation
    from eval.arc_eval import drawn_tasks

    tasks = drawn_tasks(settings.data_dir, seed=settings.seed, limit=settings.limit)
    check_writable(settings.out_dir, "--out_dir")
    placed = [varied(settings, adapter_layers=one) for one in settings.placements]
    with (
        open_adaptation(placed[0], "arc") as adaptation,
        tqdm(total=len(tasks) * len(placed), unit="task", disable=None) as bar,
    ):
        leaks = said_leaks(tasks, placed[0])
        values = [_values(adaptation, own) for own in placed]  # a bad name is refused here
        found = [
            rows_of(adaptation, own, tasks, settings.out_dir, bar, own.adapter_layers, leaks)
            for own in placed
        ]
    measured = {
        "bench": "placement",
        "base": adaptation.base.fingerprint,
        "device": str(adaptation.base.device),
        "threads": torch.get_num_threads(),
        **{name: getattr(settings, name) for name in ("k", "steps", "batch_size", "num_pseudo")},
        "rows": [
            {"adapter_layers": own.adapter_layers, "values": many, **summarize(rows, found[0])}
            for own, many, rows in zip(placed, values, found, strict=True)
        ],
    }
    write_json(settings.out_dir / "placement.json", measured)
    return measured


def summarize(rows: Sequence[Row], first: Sequence[Row]) -> dict[str, Any]:
    """Tasks solved and seconds per task; the test is against the rows of the first placement."""
    return {
        **compared(rows, first),
        "training_s": seconds_a_task(rows, "train"),
        "generating_s": seconds_a_task(rows, "generate"),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| adapters on | values | solved | 95 % | p | training, s a task | generating, s a task |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        low, high = row["ci95"]
        lines.append(
            f"| {row['adapter_layers']} | {row['values']:,} | {row['solved']} of {row['scored']}"
            f" | {low:.1%} to {high:.1%} | {row['p_mcnemar']:.2g}"
            f" | {row['training_s']:.2f} | {row['generating_s']:.2f} |"
        )
    return "\n".join(lines)


def _values(adaptation: Adaptation, settings: Settings) -> int:
    """The number of values that an adapter trains."""
    from models.multilora.flat import FlatLayout, Shape
    from models.multilora.targets import find_targets, fitting_rank

    layers = find_targets(adaptation.base.model, settings.target_modules, settings.adapter_layers)
    rank = fitting_rank(layers, settings.lora_rank)
    return FlatLayout({name: Shape.of(layer) for name, layer in layers.items()}, rank).size


if __name__ == "__main__":
    run_command(main)
