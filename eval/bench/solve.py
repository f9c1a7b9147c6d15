"""Measures whole tasks: train an adapter for each, write the answer under all views, vote.

    python -m eval.bench solve --tasks 16

Compares this engine as it is used (K tasks at a time, own demos only) with stock PEFT on one task
at a time, as fast as PEFT fairly allows, on tasks of families that the bundled base never saw. Both
train on the same items in the same order from the same first values, and stop writing at the same
places. Loading the base is not timed; everything after it is, compiling included. `--adapter_layers
top:N` puts the adapters of both sides on the last N layers. Results are on disk as soon as they are
there; a run that is started again skips them. The last line is one JSON object.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run by path, this folder's files would shadow modules
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from client.settings import Settings
from eval.bench.multilora import PEFT_MODES
from hone.errors import run_command
from hone.settings import option, read_settings


@dataclass(frozen=True)
class SolveSettings(Settings):
    tasks: int = option(16, "number of tasks from held-out families", low=1, high=256)
    peft_mode: str = option(
        "auto",
        "PEFT's mode; auto: the fastest for all tasks, compiling included",
        choices=("auto", *PEFT_MODES),
    )
    out_dir: Path = option(
        Path("runs/bench"), "folder for solve.jsonl, with a line for every result"
    )
    seed: int = option(7, "seed of tasks, items, adapters and views", low=0)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        SolveSettings, argv, env_prefix="HONE_BENCH_SOLVE_", description=__doc__ or ""
    )
    print(json.dumps(compared(settings)))
    return 0


def compared(settings: SolveSettings) -> dict[str, Any]:
    from arc.generators import held_out_tasks
    from client.progress import PhaseBar
    from eval.bench.machine import commit, device_name
    from eval.bench.whole_tasks import WholeTasks
    from hone.files import check_writable

    check_writable(settings.out_dir, "--out_dir")
    tasks = held_out_tasks(settings.tasks, settings.seed)
    with PhaseBar() as bar:
        bench = WholeTasks(_alone(settings), tasks, bar)
        hone, peft = bench.hone(), bench.peft()
    hone_s, peft_s = (sum(line["seconds"] for line in lines) for lines in ([hone], peft))
    return {
        "bench": "solve",
        "tasks": len(tasks),
        "hone_s": round(hone_s, 2),
        "peft_s": round(peft_s, 2),
        "speedup": round(peft_s / hone_s, 3),
        "solved_hone": sum(hone["right"]),
        "solved_peft": sum(line["right"] for line in peft),
        "hone_compile_s": hone["compile_s"],
        "hone_train_s": hone["train_s"],
        "hone_generate_s": hone["generate_s"],
        "peft_train_s": round(sum(line["train_s"] for line in peft), 2),
        "peft_generate_s": round(sum(line["generate_s"] for line in peft), 2),
        "adapter_layers": settings.adapter_layers,
        "hone_dtype": hone["dtype"],
        "peft_mode": bench.peft_mode,
        "device": device_name(bench.device),
        "threads": bench.threads,
        "commit": commit(),
    }


def _alone(settings: SolveSettings) -> SolveSettings:
    """The settings for own demos, all steps and greedy answers: with retrieval, reuse, early ends
    or other decoding, the two sides would not do the same work."""
    return dataclasses.replace(
        settings,
        num_ttt_samples=0,
        server_url=None,
        knowledge_base_path=None,
        local_adapter_managing=False,
        max_training_time=0.0,
        plateau_patience=0,
        stop_when_solved=0,
        greedy=True,
        samples=0,
        search_threshold=0.0,
        constrain="off",
        voting="self-consistency",
    )


if __name__ == "__main__":
    run_command(main)
