"""Answer text queries, an ARC task or a folder of tasks, with test-time training or without.

    python client/client.py --task data/examples --ttt
    python client/client.py --model_path models/llama-3-8b --ttt --query "What is 12 times 12?"
    python client/client.py --model_path models/llama-3-8b --ttt --query_file questions.jsonl
    python client/client.py --model_path models/llama-3-8b --ttt
    python client/client.py --model_path models/llama-3-8b --ttt --serve

With neither a query nor a task, queries are read from the terminal. With `--serve`, other programs
send requests in the form of OpenAI's API.

Samples come from a server (`--server_url`) or from a knowledge base opened in this process
(`--knowledge_base_path`). With `--local_adapter_managing`, trained adapters are kept, and queries
similar to earlier ones are answered without training.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # run by path, this file would shadow the package `client`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.door.settings import DoorSettings
from client.progress import PhaseBar
from client.run_trace import RunTrace
from client.settings import Settings
from hone.errors import BadInput, run_command
from hone.files import check_writable
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from client.arc_solver import Solution


@dataclass(frozen=True)
class ClientSettings(Settings, DoorSettings):
    query: str | None = option(None, "the text to answer; -: read it from standard input")
    task: Path | None = option(None, "an ARC task file, a folder of them, or Kaggle's challenges")
    ttt: bool = option(False, "train an adapter for each query before answering")
    dry_run: bool = option(False, "show what --ttt would train on, and train nothing")
    query_file: Path | None = option(
        None, "file of texts to answer, K at a time: .jsonl, .json, .csv or .parquet, also .gz"
    )
    answer_file: Path | None = option(
        None,
        "of --query_file: file for the answers, one line of JSON each; queries that it answers"
        " already are skipped",
    )
    max_new_tokens: int = option(256, "longest answer to a text query, in tokens", low=1)
    json: bool = option(False, "print JSON instead of text and grids")
    trace_dir: Path = option(Path("runs/client"), "where the trace of every run is written")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        ClientSettings, argv, env_prefix="HONE_CLIENT_", description=__doc__ or ""
    )
    _check(settings)
    if settings.dry_run:
        return _show_plans(settings)
    check_writable(settings.trace_dir, "--trace_dir")
    if settings.local_adapter_managing and not settings.ttt:
        print("note: --local_adapter_managing does nothing without --ttt", file=sys.stderr)
    _way(settings)(settings)
    return 0


def _check(settings: ClientSettings) -> None:
    """Refuses flags that contradict each other."""
    ways = [name for name in ("query", "query_file", "task", "serve") if getattr(settings, name)]
    if len(ways) > 1:
        raise BadInput(f"{' and '.join(f'--{name}' for name in ways)} are given; choose one")
    if not ways and (settings.dry_run or not sys.stdin.isatty()):
        raise BadInput(
            "give --query with a text, --query_file with a file of them, --task with an ARC task"
            " file or folder, or --serve; without them queries are read from a terminal"
        )
    if settings.serve and (settings.dry_run or settings.json):
        raise BadInput(
            "--serve answers requests, so it takes neither --dry_run nor --json; leave them out"
        )
    if settings.answer_file is not None:
        if settings.query_file is None:
            raise BadInput("--answer_file needs --query_file; without it answers are printed")
        check_writable(settings.answer_file.parent, "--answer_file")


def _way(settings: ClientSettings) -> Callable[[ClientSettings], None]:
    from client import asking

    if settings.serve:
        from client.door.serving import serve

        return serve
    if settings.task is not None:
        return _solve_tasks
    if settings.query_file is not None:
        return asking.ask_file
    return asking.ask_in_turn if settings.query is None else asking.ask_one


def _show_plans(settings: ClientSettings) -> int:
    from arc.readers import read_tasks
    from client.asking import given_query
    from client.dry_run import plan_tasks, plan_texts, shown
    from client.query_file import read_queries

    if settings.task is not None:
        plans = plan_tasks(settings, read_tasks(settings.task))
    elif settings.query_file is not None:
        plans = plan_texts(settings, [one.query for one in read_queries(settings.query_file)])
    else:
        plans = plan_texts(settings, [given_query(settings)])
    print(json.dumps(plans) if settings.json else "\n\n".join(map(shown, plans)))
    return 0


def _solve_tasks(settings: ClientSettings) -> None:
    from arc.readers import read_tasks
    from client.answer import Answer
    from client.arc_solver import ArcSolver
    from client.opening import open_adaptation

    assert settings.task is not None
    tasks, trace = read_tasks(settings.task), RunTrace(settings.trace_dir)
    with (
        PhaseBar(settings.json) as progress,
        open_adaptation(settings, "arc", progress, adapt=settings.ttt) as adaptation,
    ):
        solutions = ArcSolver(adaptation).solve(tasks, adapt=settings.ttt)
    told = [Answer.of(solution).as_json() for solution in solutions]
    if settings.json:
        print(json.dumps(told))
    else:
        _show(solutions)
    trace.write(adaptation, told)
    trace.say()


def _show(solutions: list[Solution]) -> None:
    """Prints the test inputs, the expected outputs if known, and the attempts with their shares."""
    from arc.render import Column, ansi_side_by_side
    from client.answer import Answer, said

    for solution in solutions:
        print(f"\n{said(Answer.of(solution))}")
        for pair, attempts in zip(solution.task.test, solution.attempts, strict=True):
            tried = [
                (f"attempt {i} ({share:.0%})", grid) for i, (grid, share) in enumerate(attempts, 1)
            ]
            known = [("expected", pair.output)] if pair.output is not None else []
            columns: list[Column] = [("input", pair.input), *known, *tried]
            print(ansi_side_by_side(columns if tried else [*columns, ("attempt", None)]))
    known_ones = [solution for solution in solutions if solution.right is not None]
    if len(known_ones) > 1:
        print(f"\n{sum(bool(s.right) for s in known_ones)} of {len(known_ones)} solved")


if __name__ == "__main__":
    run_command(main)
