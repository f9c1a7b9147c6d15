"""Tables of scores of finished evaluations: a line for each run, and all their tasks by size.

    python eval/score_table.py --runs runs/held_out runs/mini runs/concept

Reads the `results.json` that `eval/arc_eval.py` wrote, and for the sizes each run's tasks from its
--data_dir. A task's size is its number of tokens on a canvas, with demos, question and answer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from eval.results_file import read_results
from hone.errors import BadInput, Damaged, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from arc.task import Task

Row = dict[str, Any]


@dataclass(frozen=True)
class ScoreTableSettings:
    runs: tuple[Path, ...] = option((), "folders that eval/arc_eval.py wrote (--out_dir)")
    sizes: tuple[int, ...] = option(
        (640, 1400, 2800), "numbers of tokens at which sizes are divided", low=1
    )


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        ScoreTableSettings, argv, env_prefix="HONE_SCORES_", description=__doc__ or ""
    )
    if not settings.runs:
        raise BadInput("no --runs; name folders that eval/arc_eval.py wrote")
    runs = [read_results(folder, "base", "solved", "leaked") for folder in settings.runs]
    named = list(zip(names_of(settings.runs), runs, strict=True))
    print("\n".join(by_run(named)), end="\n\n")
    sized = [(row, size) for results in runs for row, size in with_sizes(results)]
    print("\n".join(by_size(sized, settings.sizes)))
    return 0


def names_of(folders: Sequence[Path]) -> list[str]:
    """The folders' names if these differ, else their whole paths."""
    names = [folder.name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def by_run(runs: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    yield "| tasks | base | 95 % | trained | 95 % | p | seconds a task |"
    yield "|---|---|---|---|---|---|---|"
    for name, results in runs:
        seconds = results["summary"]["seconds_per_task"]
        yield f"| {name} | {scores(results['tasks'])} | {seconds:.2f} |"


def by_size(sized: Sequence[tuple[Row, int]], bounds: Sequence[int]) -> Iterator[str]:
    yield "| tokens | base | 95 % | trained | 95 % | p |"
    yield "|---|---|---|---|---|---|"
    for low, high in zip((0, *bounds), (*bounds, None), strict=True):
        rows = [row for row, size in sized if low < size and (high is None or size <= high)]
        if rows:
            yield f"| {f'to {high:,}' if high else f'above {low:,}'} | {scores(rows)} |"


def scores(rows: Sequence[Row]) -> str:
    """Cells of a table: base and trained, each with its interval, and the paired test."""
    from arc.scoring import mcnemar
    from eval.arc_results import scored

    known = scored(rows)
    base = [bool(row["base"]["solved"]) for row in known]
    trained = [bool(row["solved"]) for row in known]
    return f"{_rate(base)} | {_rate(trained)} | {mcnemar(base, trained):.2g}"


def with_sizes(results: dict[str, Any]) -> Iterator[tuple[Row, int]]:
    from arc.readers import read_tasks

    sizes = {task.id: _tokens(task) for task in read_tasks(results["settings"]["data_dir"])}
    for row in results["tasks"]:
        if row["id"] not in sizes:
            raise Damaged(f"task {row['id']} is not in {results['settings']['data_dir']} any more")
        yield row, sizes[row["id"]]


def _tokens(task: Task) -> int:
    """Tokens of the task's longest question with the demos, and with the answer if it is known."""
    from arc.canvas import CanvasFormat

    form = CanvasFormat()
    alone = [task.with_test(i) for i in range(len(task.test))]
    known = [one.test[0].output is not None for one in alone]
    return max(
        len(form.example(one) if answered else form.prompt(one))
        for one, answered in zip(alone, known, strict=True)
    )


def _rate(solved: Sequence[bool]) -> str:
    from arc.scoring import wilson

    low, high = wilson(sum(solved), len(solved))
    return f"{sum(solved)} of {len(solved)} | {low:.1%} to {high:.1%}"


if __name__ == "__main__":
    run_command(main)
