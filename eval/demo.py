"""The whole way of a query on a small scale, in a few minutes on any machine.

    python -m eval.demo --seed 3 --tasks 8

Builds a knowledge base from the training families, starts the server, draws tasks from families
that the bundled base never saw and answers them as it is, until it has failed at some; answers
those with test-time training (K at once, samples over HTTP, the same views and decoding), shows the
grids, asks again from a new process to show that the adapters are reused, and stops the server. The
last line is one JSON object, which counts those too that the base solved.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.progress import PhaseBar
from client.settings import Settings
from hone.errors import BadInput, HoneError, Unreachable, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from arc.render import Column
    from arc.task import Task
    from client.arc_solver import ArcSolver, Solution

ROOT = Path(__file__).parent.parent
MARK = "this-is-the-demo.txt"
POOL = 3  # times as many tasks are drawn as are to be trained on, for the base solves some
STOP_SECONDS = 20  # for the server to finish what it is asked


@dataclass(frozen=True)
class DemoSettings(Settings):
    tasks: int = option(8, "tasks to train on, of those that the base fails at", low=1, high=256)
    records: int = option(400, "tasks in the knowledge base", low=1)
    out_dir: Path = option(Path("runs/demo"), "knowledge base, tasks, adapters, pictures")
    seed: int = option(7, "of tasks, items, adapters and views", low=0)


@dataclass(frozen=True)
class Answered:
    """By the base as it is."""

    asked: int
    failed: list[Solution]  # what it did not solve


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
    """The demo clears what it finds in its folder, so that had better be its own."""
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
    """Tasks of different held-out families: more than are wanted."""
    from arc.generators import held_out_tasks

    say(f"drawing tasks with seed {settings.seed}, of families that were never trained on")
    return held_out_tasks(POOL * settings.tasks, settings.seed)


@contextlib.contextmanager
def serving(knowledge_base: Path) -> Iterator[str]:
    """The server in a process of its own, on a free port; stopped whatever happens."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # told to stop: the server goes too
    words = ("server/server.py", "--knowledge_base_path", str(knowledge_base), "--port", "0")
    with subprocess.Popen(
        command(*words), env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _address(process)
        finally:
            _stop(process)
            say("stopped the server")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()  # printed once it answers
    if not line:
        raise Unreachable("the server did not start; its own message is above")
    say(line)
    return line.rsplit(" ", 1)[1]


def solve_twice(
    settings: DemoSettings, drawn: Sequence[Task], url: str
) -> tuple[Answered, list[Solution], float]:
    """Answers of the base as it is, then with an adapter for every task that it failed at."""
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
    """As many tasks as it takes until the base has failed at --tasks of them."""
    wanted, failed, asked = settings.tasks, [], 0
    say(f"answering with the base as it is, until it has failed at {wanted}")
    for task in drawn:
        (solution,) = solver.solve([task], adapt=False)
        asked += 1
        failed += [] if solution.right else [solution]
        if len(failed) == wanted:
            break
    if not failed:
        raise BadInput(f"the base solves all {asked} tasks of --seed {settings.seed}; give another")
    say(f"it solves {asked - len(failed)} of {asked}; the others are trained on")
    return Answered(asked, sorted(failed, key=lambda solution: solution.task.id))


def write_tasks(settings: DemoSettings, tasks: Sequence[Task]) -> None:
    """As files, which the second run reads."""
    from arc.task import task_to_json
    from hone.files import write_json

    folder = settings.out_dir / "tasks"
    shutil.rmtree(folder, ignore_errors=True)
    for task in tasks:
        write_json(folder / f"{task.id}.json", task_to_json(task))


def asking(settings: DemoSettings, url: str) -> DemoSettings:
    """The settings with this demo's server and adapters."""
    return dataclasses.replace(
        settings,
        server_url=url,
        local_adapter_managing=True,
        local_adapter_manager_dir=adapters_of(settings),
    )


def ask_again(settings: DemoSettings, url: str) -> dict[str, Any]:
    """The same tasks from a new process: how many adapters are found again, and how long it takes,
    the start of the process included."""
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


def show(before: list[Solution], after: list[Solution]) -> None:
    from arc.render import ansi_side_by_side

    for old, new in zip(before, after, strict=True):
        marks = [("solved" if s.right else "not solved") for s in (old, new)]
        print(f"\n{new.task.id}: {marks[0]} before, {marks[1]} after")
        for columns in rows_of(old, new):
            print(ansi_side_by_side(columns, compare_to=dict(columns)["expected"]))
    print()


def rows_of(old: Solution, new: Solution) -> list[list[Column]]:
    """Test input, expected, before, after; of two attempts the right one, else the first."""
    from arc.grid import same

    rows: list[list[Column]] = []
    for i, pair in enumerate(new.task.test):
        columns: list[Column] = [("test input", pair.input), ("expected", pair.output)]
        for title, solution in (("before", old), ("after", new)):
            grids = [grid for grid, _ in solution.attempts[i]]
            right = [grid for grid in grids if same(grid, pair.output)]
            columns.append((title, next(iter(right or grids), None)))
        rows.append(columns)
    return rows


def draw(path: Path, before: list[Solution], after: list[Solution]) -> None:
    from eval.picture import stacked
    from hone.files import write_text

    rows = [
        (new.task.id, columns)
        for old, new in zip(before, after, strict=True)
        for columns in rows_of(old, new)
    ]
    write_text(path, stacked(rows))


def adapters_of(settings: DemoSettings) -> Path:
    return settings.out_dir.resolve() / "adapters"


def run(*words: str) -> str:
    """A command of the project, as a user would type it; its output."""
    done = subprocess.run(
        command(*words), env=environment(), stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise HoneError(f"{words[0]} failed with exit code {done.returncode}; see above")
    return done.stdout


def command(script: str, *words: str) -> list[str]:
    return [sys.executable, str(ROOT / script), *words]


def environment() -> dict[str, str]:
    """Without Hone's own variables: what the demo's commands do is the demo's to say."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HONE_")}


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
