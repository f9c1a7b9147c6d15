"""Ask: one text query, an ARC task, or a folder of tasks; with test-time training or without.

    python client/client.py --task data/examples --ttt
    python client/client.py --model_path models/llama-3-8b --ttt --query "What is 12 times 12?"

Samples come from a server (`--server_url`) or from a knowledge base in this process
(`--knowledge_base_path`). With `--local_adapter_managing` trained adapters are kept, and queries
like earlier ones are answered without training.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if __name__ == "__main__":  # run by path, this file would be taken for the package
    sys.path[0] = str(Path(__file__).parent.parent)

from client.progress import PhaseBar
from client.settings import Settings
from hone.errors import BadInput, run_command
from hone.files import check_writable, write_json
from hone.settings import as_plain, option, read_settings

if TYPE_CHECKING:
    from client.arc_solver import Solution


@dataclass(frozen=True)
class ClientSettings(Settings):
    query: str | None = option(None, "the text to answer; -: read it from standard input")
    task: Path | None = option(None, "an ARC task file, a folder of them, or Kaggle's challenges")
    ttt: bool = option(False, "train an adapter for each query before answering")
    dry_run: bool = option(False, "show what --ttt would train on, and train nothing")
    max_new_tokens: int = option(256, "longest answer to a text query", low=1)
    json: bool = option(False, "print JSON instead of text and grids")
    trace_dir: Path = option(Path("runs/client"), "where the trace of every run is written")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        ClientSettings, argv, env_prefix="HONE_CLIENT_", description=__doc__ or ""
    )
    if (settings.query is None) == (settings.task is None):
        raise BadInput("give either --query with a text or --task with an ARC task file or folder")
    if settings.dry_run:
        return _show_plans(settings)
    check_writable(settings.trace_dir, "--trace_dir")
    told, used = _answer_text(settings) if settings.task is None else _solve_tasks(settings)
    if settings.local_adapter_managing and not settings.ttt:
        print("note: --local_adapter_managing does nothing without --ttt", file=sys.stderr)
    _write_trace(settings, told, used)
    return 0


def _answer_text(settings: ClientSettings) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What was answered, and the memory that was used."""
    from client.opening import open_adaptation
    from client.text_answerer import TextAnswerer

    query = _asked(settings)
    with (
        PhaseBar(settings.json) as progress,
        open_adaptation(settings, "text", progress, adapt=settings.ttt) as adaptation,
    ):
        answerer = TextAnswerer(adaptation, settings.max_new_tokens)
        (answer,) = answerer.answer([query], adapt=settings.ttt)
    told = [{"query": answer.query, "answer": answer.text, "trace": answer.trace}]
    print(json.dumps(told) if settings.json else answer.text)
    return told, adaptation.layout.report()


def _asked(settings: ClientSettings) -> str:
    query = sys.stdin.read() if settings.query == "-" else str(settings.query)
    if not query.strip():
        raise BadInput("the query is empty; give a text after --query")
    return query


def _show_plans(settings: ClientSettings) -> int:
    from arc.readers import read_tasks
    from client.dry_run import plan_tasks, plan_texts, shown

    if settings.task is None:
        plans = plan_texts(settings, [_asked(settings)])
    else:
        plans = plan_tasks(settings, read_tasks(settings.task))
    print(json.dumps(plans) if settings.json else "\n\n".join(map(shown, plans)))
    return 0


def _solve_tasks(settings: ClientSettings) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    from arc.readers import read_tasks
    from client.answer import Answer
    from client.arc_solver import ArcSolver
    from client.opening import open_adaptation

    assert settings.task is not None
    tasks = read_tasks(settings.task)
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
    return told, adaptation.layout.report()


def _show(solutions: list[Solution]) -> None:
    """Test inputs, what was expected where that is known, and the attempts with their votes."""
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


def _write_trace(
    settings: ClientSettings, told: list[dict[str, Any]], used: dict[str, Any]
) -> None:
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid4().hex[:6]}.json"
    file = settings.trace_dir / name
    write_json(file, {"settings": as_plain(settings), "memory": used, "answers": told})
    print(f"trace: {file}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
