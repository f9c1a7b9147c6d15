"""Answers the same tasks with several settings, one after the other, to compare the settings.

Every task of every variant is on disk as soon as it is answered; a run that is started again skips
it and keeps its times.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.settings import Settings
from eval.arc_results import is_scored
from hone.errors import BadInput
from hone.files import check_writable

if TYPE_CHECKING:
    from arc.task import Task
    from client.adaptation import Adaptation
    from eval.leakage import Leaks

Row = dict[str, Any]


def varied(settings: Settings, **changes: Any) -> Settings:
    """The client's settings alone, with changes. A command's own flags are dropped, because all
    settings enter the name under which a task is stored."""
    own = {field.name: getattr(settings, field.name) for field in dataclasses.fields(Settings)}
    return Settings(**own | changes)


def refuse_kept_adapters(settings: Settings) -> None:
    if settings.local_adapter_managing:
        raise BadInput("kept adapters would be reused; leave --local_adapter_managing out")


def rows_of(
    adaptation: Adaptation,
    settings: Settings,
    tasks: Sequence[Task],
    out_dir: Path,
    bar: Any,
    name: str,
    leaks: Leaks | None = None,
) -> list[Row]:
    """A row for each task, in their order, from disk if it is there; each says what has seen the
    task before."""
    from client.arc_run import run_tasks
    from client.arc_solver import ArcSolver

    bar.set_description_str(name)
    solver = ArcSolver(dataclasses.replace(adaptation, settings=settings))
    found: dict[int, Row] = {}
    for i, row in run_tasks(solver, tasks, out_dir, with_base=False):
        found[i] = row | {"leaked": (leaks or {}).get(row["id"], {})}
        bar.update()
    return [found[i] for i in range(len(tasks))]


def said_leaks(tasks: Sequence[Task], settings: Settings) -> Leaks:
    """The tasks that the base or knowledge base has seen before; names them on stderr."""
    from eval.leakage import find_leaks, seen_in_run

    leaks = find_leaks(tasks, seen_in_run(settings))
    if leaks:
        print(f"note: seen before, so not scored: {', '.join(leaks)}", file=sys.stderr)
    return leaks


@dataclass(frozen=True)
class Run:
    """The rows of every variant, in the order of the tasks, and what made them."""

    base: str  # its fingerprint
    device: str
    rows: dict[str, list[Row]]


def run_all(variants: Mapping[str, Settings], tasks: Sequence[Task], out_dir: Path) -> Run:
    """Runs all variants. Base and knowledge base are opened for the first and must be the same for
    all."""
    from tqdm import tqdm

    from client.opening import open_adaptation

    check_writable(out_dir, "--out_dir")
    first = next(iter(variants.values()))
    with (
        open_adaptation(first, "arc") as adaptation,
        tqdm(total=len(tasks) * len(variants), unit="task", disable=None) as bar,
    ):
        leaks = said_leaks(tasks, first)
        rows = {
            name: rows_of(adaptation, settings, tasks, out_dir, bar, name, leaks)
            for name, settings in variants.items()
        }
    return Run(adaptation.base.fingerprint, str(adaptation.base.device), rows)


def compared(rows: Sequence[Row], first: Sequence[Row]) -> dict[str, Any]:
    """Tasks solved, compared with the first variant. Tasks with unknown outputs and those that were
    seen before do not count."""
    from arc.scoring import mcnemar, paired_difference, wilson

    leaked = sum(bool(row["leaked"]) for row in rows)
    pairs = [
        (bool(now["solved"]), bool(then["solved"]))
        for now, then in zip(rows, first, strict=True)
        if is_scored(now)
    ]
    solved, before = [now for now, _ in pairs], [then for _, then in pairs]
    difference, low, high = paired_difference(before, solved)
    return {
        "tasks": len(rows),
        "unknown": len(rows) - len(pairs) - leaked,
        "leaked": leaked,
        "scored": len(pairs),
        "solved": sum(solved),
        "ci95": [round(end, 4) for end in wilson(sum(solved), len(pairs))],
        "won": sum(now and not then for now, then in pairs),
        "lost": sum(then and not now for now, then in pairs),
        "difference": round(difference, 4),
        "difference_ci95": [round(low, 4), round(high, 4)],
        "p_mcnemar": mcnemar(solved, before),
    }


def seconds_a_task(rows: Sequence[Row], phase: str) -> float:
    found: list[float] = [row["trace"]["seconds"].get(phase, 0.0) for row in rows]
    return round(sum(found) / len(rows), 4)


def rate_cells(row: Mapping[str, Any]) -> str:
    """Five cells of a Markdown table: tasks solved, its interval, the difference to the first
    variant, its interval, and the p-value."""
    low, high = row["ci95"]
    less, more = row["difference_ci95"]
    return (
        f"{row['solved']} of {row['scored']} | {low:.1%} to {high:.1%}"
        f" | {row['difference']:+.1%} | {less:+.1%} to {more:+.1%} | {row['p_mcnemar']:.2g}"
    )
