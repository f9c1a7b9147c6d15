"""Demonstrates test-time training on a small scale, in a few minutes on any machine.

    python -m eval.demo --seed 3 --tasks 8

Builds a knowledge base from the training families, starts the server, and answers tasks of families
that the bundled base never saw, without training, until the base has failed at some. Those it
answers again with test-time training (K at once, samples over HTTP, the same views and decoding)
and shows the grids. Then it asks again from a new process, to show that the adapters are reused,
and stops the server. The last line is one JSON object, which also counts the tasks that the base
solved.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.progress import PhaseBar
from client.settings import Settings
from eval.demo_processes import run, say, serving
from eval.demo_shown import draw, show
from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from arc.task import Task
    from client.arc_solver import ArcSolver, Solution

MARK = "this-is-the-demo.txt"
POOL = 3  # tasks drawn per task to train on, since the base solves some


@dataclass(frozen=True)
class DemoSettings(Settings):
    tasks: int = option(
        8, "number of tasks to train on, among those that the base fails at", low=1, high=256
    )
    records: int = option(400, "number of tasks in the knowledge base", low=1)
    out_dir: Path = option(
        Path("runs/demo"), "folder for knowledge base, tasks, adapters and pictures"
    )
    seed: int = option(7, "seed of tasks, items, adapters and views", low=0)


@dataclass(frozen=True)
class Answered:
    """The answers of the base without training."""

    asked: int
    failed: list[Solution]  # solutions of the tasks that it did not solve


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(DemoSettings, argv, env_prefix="HONE_DEMO_", description=__doc__ or "")
    begun = time.monotonic()
    take_folder(settings.out_dir)
    knowledge_base = build_knowledge_base(settings)
    drawn = draw_tasks(settings)
    with serving(knowledge_base) as url:
        before, after, seconds = solve_twice(settings, drawn, url)
        show(before.failed, after)
        draw(settings.out_dir / "demo.svg", before.failed, after)
        again = ask_again(settings, url)
    told = {
        "drawn": before.asked,
        "solved_base": before.asked - len(before.failed),
        "tasks": len(before.failed),
        "solved_ttt": sum(bool(solution.right) for solution in after),
        "ttt_seconds": round(seconds, 1),
        **again,
    }
    picture = settings.out_dir / "demo.svg"
    say(f"done in {time.monotonic() - begun:.0f} s; the grids are drawn in {picture}")
    print(json.dumps({"demo": told}))
    return 0


def take_folder(folder: Path) -> None:
    """Refuses a folder with files that are not the demo's, since the demo clears its folder."""
    from hone.files import check_writable, write_text

    check_writable(folder, "--out_dir")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise BadInput(f"{folder} holds files that are not the demo's; name another --out_dir")
    write_text(folder / MARK, "Written by eval/demo.py, which may clear this folder.\n")


def build_knowledge_base(settings: DemoSettings) -> Path:
    say(f"building a knowledge base of {settings.records} tasks from the training families")
    folder = settings.out_dir.resolve() / "knowledge_base"
    run(
        "kb/build_kb.py",
        "--datasets",
        f"generators:{settings.records}",
        "--save_dir",
        str(folder),
        "--overwrite",
    )
    return folder


def draw_tasks(settings: DemoSettings) -> list[Task]:
    """Random tasks of different held-out families, POOL times as many as are to be trained on."""
    from arc.generators import held_out_tasks

    say(f"drawing tasks with seed {settings.seed}, of families that were never trained on")
    return held_out_tasks(POOL * settings.tasks, settings.seed)


def solve_twice(
    settings: DemoSettings, drawn: Sequence[Task], url: str
) -> tuple[Answered, list[Solution], float]:
    """The base's answers, then answers with an adapter for every task that it failed at, and the
    seconds that these took."""
    from client.adaptation import timed
    from client.arc_solver import ArcSolver
    from client.opening import open_adaptation

    shutil.rmtree(adapters_of(settings), ignore_errors=True)
    with (
        PhaseBar() as progress,
        open_adaptation(asking(settings, url), "arc", progress) as adaptation,
    ):
        solver = ArcSolver(adaptation)
        before = answered_as_it_is(solver, drawn, settings)
        tasks = [solution.task for solution in before.failed]
        write_tasks(settings, tasks)
        say(f"training {min(adaptation.k, len(tasks))} adapters at a time, then answering again")
        with timed() as training:
            after = solver.solve(tasks, adapt=True)
    return before, after, training.seconds


def answered_as_it_is(solver: ArcSolver, drawn: Sequence[Task], settings: DemoSettings) -> Answered:
    """Answers tasks with the base until it has failed at --tasks of them."""
    wanted, failed, asked = settings.tasks, [], 0
    say(f"answering with the base alone, until it has failed at {wanted} tasks")
    for task in drawn:
        (solution,) = solver.solve([task], adapt=False)
        asked += 1
        failed += [] if solution.right else [solution]
        if len(failed) == wanted:
            break
    if not failed:
        raise BadInput(f"the base solves all {asked} tasks of --seed {settings.seed}; give another")
    say(f"it solves {asked - len(failed)} of {asked}; training on the others")
    return Answered(asked, sorted(failed, key=lambda solution: solution.task.id))


def write_tasks(settings: DemoSettings, tasks: Sequence[Task]) -> None:
    """Writes the tasks as files, which the second run reads."""
    from arc.task import task_to_json
    from hone.files import write_json

    folder = settings.out_dir / "tasks"
    shutil.rmtree(folder, ignore_errors=True)
    for task in tasks:
        write_json(folder / f"{task.id}.json", task_to_json(task))


def asking(settings: DemoSettings, url: str) -> DemoSettings:
    """The settings, with the demo's server and adapters."""
    return dataclasses.replace(
        settings,
        server_url=url,
        local_adapter_managing=True,
        local_adapter_manager_dir=adapters_of(settings),
    )


def ask_again(settings: DemoSettings, url: str) -> dict[str, Any]:
    """Answers the same tasks in a new process; says how many adapters were reused, and how long it
    took, including the start of the process."""
    from hone.files import write_json
    from hone.settings import as_plain

    say("asking again from a new process")
    shared = {field.name for field in dataclasses.fields(Settings)}
    same = {k: v for k, v in as_plain(asking(settings, url)).items() if k in shared}
    config = settings.out_dir / "settings.json"  # every YAML reader reads JSON
    write_json(config, same)
    begun = time.monotonic()
    answer = run(
        *("client/client.py", "--config", str(config.resolve()), "--ttt", "--json"),
        *("--task", str((settings.out_dir / "tasks").resolve())),
        *("--trace_dir", str((settings.out_dir / "traces").resolve())),
    )
    seconds = time.monotonic() - begun
    hits = sum(row["trace"]["decision"] == "hit" for row in json.loads(answer))
    say(f"{hits} adapters were reused in {seconds:.1f} s")
    return {"second_run_hits": hits, "second_run_seconds": round(seconds, 1)}


def adapters_of(settings: DemoSettings) -> Path:
    return settings.out_dir.resolve() / "adapters"


if __name__ == "__main__":
    run_command(main)
