"""Score a base with and without test-time training on a folder of ARC tasks.

    python eval/arc_eval.py --data_dir data/evaluation --out_dir runs/eval

Both sides write their answers under the same views with the same decoding. Every task is on
disk as soon as it is answered; started again, a run goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.settings import Settings
from hone.errors import BadInput, run_command
from hone.files import check_writable
from hone.settings import as_plain, option, read_settings

if TYPE_CHECKING:
    from arc.task import Task


@dataclass(frozen=True)
class ArcEvalSettings(Settings):
    data_dir: Path | None = option(None, "folder of ARC tasks, a task file, Kaggle's challenges")
    out_dir: Path = option(Path("runs/eval"), "results.json, and a file for every task")
    limit: int = option(0, "evaluate so many tasks, drawn by the seed; 0: all", low=0)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        ArcEvalSettings, argv, env_prefix="HONE_EVAL_", description=__doc__ or ""
    )
    results = evaluate(settings)
    print_summary(results["summary"])
    return 0


def evaluate(settings: ArcEvalSettings) -> dict[str, Any]:
    """Rows and summary, also written to `results.json`."""
    from tqdm import tqdm

    from client.arc_run import run_tasks
    from client.arc_solver import ArcSolver
    from client.opening import open_adaptation
    from hone.files import write_json

    tasks = drawn_tasks(settings.data_dir, seed=settings.seed, limit=settings.limit)
    check_writable(settings.out_dir, "--out_dir")
    found: dict[int, dict[str, Any]] = {}
    begun = time.monotonic()
    with (
        open_adaptation(settings, "arc") as adaptation,
        tqdm(total=len(tasks), unit="task", disable=None) as bar,
    ):
        solver = ArcSolver(adaptation)
        for i, row in run_tasks(solver, tasks, settings.out_dir, with_base=True):
            found[i] = row
            bar.update()
            solved, base = count(found.values()), count(row["base"] for row in found.values())
            bar.set_postfix_str(f"solved {solved}, base {base}")
    rows = [found[i] for i in range(len(tasks))]
    summary = summarize(rows) | {"wall_seconds": round(time.monotonic() - begun, 1)}
    used = adaptation.layout.report()
    results = {"summary": summary, "settings": as_plain(settings), "memory": used, "tasks": rows}
    write_json(settings.out_dir / "results.json", results)
    return results


def drawn_tasks(data_dir: Path | None, *, seed: int = 0, limit: int = 0) -> list[Task]:
    """Tasks in an order of the seed, so that a part of them is a fair one; 0: all."""
    from random import Random

    from arc.readers import read_tasks

    if data_dir is None:
        raise BadInput("no --data_dir; name a folder of ARC tasks")
    tasks = read_tasks(data_dir)
    Random(seed).shuffle(tasks)
    return tasks[:limit] if limit else tasks


def count(rows: Iterable[dict[str, Any]]) -> int:
    return sum(bool(row["solved"]) for row in rows)


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The three conventions with TTT and without, the interval, and the test between the two."""
    from arc.scoring import mcnemar, score, wilson

    known = [row for row in rows if row["solved"] is not None]
    after = score([row["right"] for row in known])
    before = score([row["base"]["right"] for row in known])
    pairs = [bool(row["solved"]) for row in known], [bool(row["base"]["solved"]) for row in known]
    seconds = [sum(row["trace"]["seconds"].values()) for row in rows]
    return {
        "tasks": len(rows),
        "unknown": len(rows) - len(known),
        "solved": after.tasks_right,
        "solved_base": before.tasks_right,
        "task_score": round(after.tasks, 4),
        "task_score_base": round(before.tasks, 4),
        "mean_output_score": round(after.mean, 4),
        "output_score": round(after.outputs, 4),
        "ci95": [round(end, 4) for end in wilson(after.tasks_right, len(known))],
        "ci95_base": [round(end, 4) for end in wilson(before.tasks_right, len(known))],
        "p_mcnemar": mcnemar(*pairs),
        "seconds": round(sum(seconds), 1),
        "seconds_per_task": round(sum(seconds) / len(rows), 2),
    }


def print_summary(summary: dict[str, Any]) -> None:
    for name, key in (("base", "_base"), ("TTT", "")):
        solved, rate = summary[f"solved{key}"], summary[f"task_score{key}"]
        low, high = summary[f"ci95{key}"]
        total = summary["tasks"] - summary["unknown"]
        print(f"{name:5} {solved:4} of {total}  {rate:6.1%}  (95 %: {low:.1%} to {high:.1%})")
    p, each = summary["p_mcnemar"], summary["seconds_per_task"]
    print(f"McNemar p = {p:.2g}; {each:.2f} s a task with TTT")


if __name__ == "__main__":
    run_command(main)
