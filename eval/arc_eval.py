"""Score a base with and without test-time training on a folder of ARC tasks.

    python eval/arc_eval.py --model_path models/arc-base --data_dir data/evaluation \\
        --out_dir runs/eval
    python eval/arc_eval.py --compare runs/eval runs/more_views

Both sides write their answers under the same views with the same decoding. Every task is on disk as
soon as it is answered; a run that is started again skips it. Trained adapters are kept in
`--trained_dir`, so a run that only changes how answers are written and chosen trains nothing.

    <out_dir>/results.json      summary, settings, leakage, and a row per task with its trace
    <out_dir>/report.html       the same as a report, in one file
    <out_dir>/submission.json   two attempts per test input, in Kaggle's format
    <out_dir>/<task>.txt        the model's output and the true output
    <out_dir>/tasks/            the rows, each written as soon as its task is answered
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.settings import Settings
from eval.arc_results import summarize, summary_lines
from eval.running_score import RunningScore
from hone.errors import EXIT_LEFT_OUT, BadInput, run_command
from hone.files import check_writable, write_json, write_text
from hone.settings import as_plain, option, read_settings

if TYPE_CHECKING:
    from arc.task import Task
    from client.adaptation import Adaptation
    from client.arc_solver import ArcSolver
    from client.kept_adapters import KeptAdapters
    from eval.leakage import Leaks


@dataclass(frozen=True)
class ArcEvalSettings(Settings):
    data_dir: Path | None = option(None, "folder of ARC tasks, a task file, Kaggle's challenges")
    out_dir: Path = option(Path("runs/eval"), "folder for results, report, submission, tasks")
    limit: int = option(0, "number of tasks to evaluate, drawn by the seed; 0: all", low=0)
    keep_trained: bool = option(True, "keep trained adapters for runs that would train the same")
    trained_dir: Path = option(
        Path("runs/trained"), "folder where trained adapters are kept and looked for"
    )
    compare: tuple[Path, ...] = option((), "two runs to compare instead of running anything")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        ArcEvalSettings, argv, env_prefix="HONE_EVAL_", description=__doc__ or ""
    )
    if settings.compare:
        from eval.compare import compare_runs

        compare_runs(settings.compare, settings.out_dir)
        return 0
    results = evaluate(settings)
    for line in summary_lines(results):
        print(line)
    print(f"report: {settings.out_dir / 'report.html'}")
    return EXIT_LEFT_OUT if results["left_out"] else 0


def evaluate(settings: ArcEvalSettings) -> dict[str, Any]:
    """Evaluates the tasks and writes all files; returns what `results.json` holds."""
    from client.arc_predictions import check_names

    left_out: list[str] = []
    tasks = drawn_tasks(
        settings.data_dir, seed=settings.seed, limit=settings.limit, broken=left_out.append
    )
    check_names(tasks)
    check_writable(settings.out_dir, "--out_dir")
    if settings.keep_trained:
        check_writable(settings.trained_dir, "--trained_dir")
    score = RunningScore(len(tasks))
    try:
        results = _evaluated(settings, tasks, left_out, score)
        _write(settings.out_dir, results)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted: {score.done} of {len(tasks)} tasks are done in {settings.out_dir};"
            " the same command goes on from there"
        ) from None
    return results


def drawn_tasks(
    data_dir: Path | None,
    *,
    seed: int = 0,
    limit: int = 0,
    broken: Callable[[str], None] | None = None,
) -> list[Task]:
    """The tasks in a random order by the seed, so that the first `limit` are a random sample; 0:
    all."""
    from random import Random

    from arc.readers import read_tasks

    if data_dir is None:
        raise BadInput("no --data_dir; name a folder of ARC tasks")
    tasks = read_tasks(data_dir, broken=broken)
    if not tasks:
        raise BadInput(f"{data_dir} holds no task that can be read; check its files")
    Random(seed).shuffle(tasks)
    return tasks[:limit] if limit else tasks


def _evaluated(
    settings: ArcEvalSettings, tasks: Sequence[Task], left_out: Sequence[str], score: RunningScore
) -> dict[str, Any]:
    from client.arc_solver import ArcSolver
    from client.opening import open_adaptation
    from eval.leakage import find_leaks, seen_in_run
    from eval.report.neighbours import neighbour_pairs

    begun = time.monotonic()
    with open_adaptation(settings, "arc") as adaptation, score:
        seen = seen_in_run(settings)
        leaks = find_leaks(tasks, seen)
        adaptation.progress = score.phase
        solver = ArcSolver(adaptation, _kept(settings, adaptation))
        found = _answered(solver, tasks, leaks, settings.out_dir, score)
    rows = [found[i] for i in range(len(tasks))]
    summary = summarize(rows, everything_is_known=all(one.pairs is not None for one in seen))
    return {
        "summary": summary | {"wall_seconds": round(time.monotonic() - begun, 1)},
        "settings": as_plain(settings),
        "memory": adaptation.layout.report(),
        "leakage": {one.who: one.spelled() for one in seen},
        "left_out": list(left_out),
        "neighbours": neighbour_pairs(settings.knowledge_base_path, rows),
        "tasks": rows,
    }


def _answered(
    solver: ArcSolver, tasks: Sequence[Task], leaks: Leaks, out_dir: Path, score: RunningScore
) -> dict[int, dict[str, Any]]:
    """A row per task, by its index. The task's text file is written together with its row."""
    from client.arc_predictions import prediction_text
    from client.arc_run import run_tasks

    found = {}
    for i, row in run_tasks(solver, tasks, out_dir, with_base=True):
        task = tasks[i]
        write_text(out_dir / f"{task.id}.txt", prediction_text(task, row))
        found[i] = row | {"task": _spelled(task), "leaked": leaks.get(task.id, {})}
        score.add(found[i])
    return found


def _kept(settings: ArcEvalSettings, adaptation: Adaptation) -> KeptAdapters | None:
    """Adapters kept by task. None if they are not to be kept, or if there is an adapter store: each
    would hide the effect of the other."""
    from client.kept_adapters import KeptAdapters

    if not settings.keep_trained or adaptation.store is not None:
        return None
    place, base_path = settings.trained_dir, adaptation.base.path
    return KeptAdapters(place, lambda: adaptation.key, base_path=base_path)


def _spelled(task: Task) -> dict[str, list[list[str | None]]]:
    """The task itself, so that a report needs no folder of tasks."""
    from arc.grid import spell

    def pairs(part: str) -> list[list[str | None]]:
        return [
            [spell(pair.input), None if pair.output is None else spell(pair.output)]
            for pair in getattr(task, part)
        ]

    return {"train": pairs("train"), "test": pairs("test")}


def _write(out_dir: Path, results: Mapping[str, Any]) -> None:
    from client.arc_predictions import submission
    from eval.report.page import report_of

    write_json(out_dir / "submission.json", submission(results["tasks"]))
    write_text(out_dir / "report.html", report_of(results))
    write_json(out_dir / "results.json", results)


if __name__ == "__main__":
    run_command(main)
