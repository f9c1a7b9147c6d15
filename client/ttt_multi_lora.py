"""Test-time training of many ARC tasks at once: K adapters over one frozen base.

    python client/ttt_multi_lora.py --model_dir models/qwen2-7b --data_dir data/evaluation \\
        --k 2 --steps 10 --num_pseudo 20 --out_dir arc_predictions_qwen_debug

Writes `<task>.txt` with MODEL OUTPUT and TRUE OUTPUT for every task, and `results.json`. Every task
is written as soon as it is answered; a run that is started again skips what is answered.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run by path, client/client.py would shadow the package `client`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.settings import Settings
from hone.errors import BadInput, run_command
from hone.files import check_writable
from hone.settings import as_plain, option, read_settings


@dataclass(frozen=True)
class MultiLoraSettings(Settings):
    data_dir: Path | None = option(None, "folder of ARC tasks, a task file, Kaggle's challenges")
    out_dir: Path = option(Path("results/multi_lora"), "where predictions and results go")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        MultiLoraSettings, argv, env_prefix="HONE_MULTI_LORA_", description=__doc__ or ""
    )
    if settings.data_dir is None:
        raise BadInput("no --data_dir; name a folder of ARC tasks")
    rows = predict(settings)
    known = [row for row in rows if row["solved"] is not None]
    solved = f", {sum(row['solved'] for row in known)} of {len(known)} solved" if known else ""
    answered = "1 task" if len(rows) == 1 else f"{len(rows)} tasks"
    print(f"{answered} answered in {settings.out_dir}{solved}")
    return 0


def predict(settings: MultiLoraSettings) -> list[dict[str, Any]]:
    """A row for every task. Predictions and rows are also written to `out_dir`."""
    from tqdm import tqdm

    from arc.readers import read_tasks
    from client.arc_predictions import check_names, prediction_text
    from client.arc_run import run_tasks
    from client.arc_solver import ArcSolver
    from client.opening import open_adaptation
    from hone.files import write_json, write_text

    assert settings.data_dir is not None
    tasks = read_tasks(settings.data_dir)
    check_names(tasks)
    check_writable(settings.out_dir, "--out_dir")
    found: dict[int, dict[str, Any]] = {}
    with (
        open_adaptation(settings, "arc") as adaptation,
        tqdm(total=len(tasks), unit="task", disable=None) as bar,
    ):
        adaptation.progress = lambda phase, done, total: bar.set_postfix_str(
            f"{phase} {done}/{total}"
        )
        solver = ArcSolver(adaptation)
        for i, row in run_tasks(solver, tasks, settings.out_dir, with_base=False):
            write_text(settings.out_dir / f"{tasks[i].id}.txt", prediction_text(tasks[i], row))
            found[i] = row
            bar.update()
    rows = [found[i] for i in range(len(tasks))]
    told = {"settings": as_plain(settings), "memory": adaptation.layout.report(), "tasks": rows}
    write_json(settings.out_dir / "results.json", told)
    return rows


if __name__ == "__main__":
    run_command(main)
