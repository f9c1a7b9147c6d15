"""What each way of voting makes of the same candidates, beside the oracle.

    python eval/voters.py --results runs/eval/results.json --data_dir data/evaluation

Reads a run of eval/arc_eval.py or client/ttt_multi_lora.py, which keeps every view's answer, and
votes again; nothing is computed but votes. The oracle chooses the right grid wherever one was
written. `sure` is the mean confidence in first attempts, `first` the share of them that are right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from arc.task import Task
    from arc.voting import Candidate

_Asked = tuple["Task", "list[list[Candidate]]"]  # a task, and one list a test input


@dataclass(frozen=True)
class VotersSettings:
    results: Path = option(Path("runs/eval/results.json"), "results of a run")
    data_dir: Path | None = option(None, "the tasks of that run, with their outputs")


@dataclass(frozen=True)
class Line:
    """One way of choosing: tasks solved, and what it says of its first attempts."""

    name: str
    solved: int
    sure: float
    first: float


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        VotersSettings, argv, env_prefix="HONE_VOTERS_", description=__doc__ or ""
    )
    if settings.data_dir is None:
        raise BadInput("no --data_dir; name the folder of tasks that the run answered")
    asked = read_candidates(settings.results, settings.data_dir)
    print_table(lines(asked), len(asked))
    return 0


def read_candidates(results: Path, data_dir: Path) -> list[_Asked]:
    """The run's tasks whose outputs are known, each with what its views wrote."""
    from arc.readers import read_tasks
    from hone.files import read_json

    content = read_json(results)
    if not isinstance(content, dict) or "tasks" not in content:
        raise BadInput(f"{results} is not the results.json of a run; check --results")
    rows = {row["id"]: row for row in content["tasks"]}
    tasks = [task for task in read_tasks(data_dir) if task.id in rows]
    known = [task for task in tasks if all(pair.output is not None for pair in task.test)]
    if not known:
        raise BadInput(
            f"{data_dir} has no task of {results} whose outputs are known; check --data_dir"
        )
    return [
        (task, [[_candidate(view) for view in own] for own in rows[task.id]["trace"]["views"]])
        for task in known
    ]


def _candidate(view: Mapping[str, Any]) -> Candidate:
    from arc.grid import unspell
    from arc.voting import Candidate

    grid = None if view["grid"] is None else unspell(view["grid"])
    return Candidate(grid, view["view"], view.get("log_probability"))


def lines(asked: Sequence[_Asked]) -> list[Line]:
    from arc.voting import VOTERS, oracle

    possible = sum(
        all(oracle(own, pair.output) for own, pair in zip(written, task.test, strict=True))
        for task, written in asked
    )
    return [*(_line(name, asked) for name in VOTERS), Line("oracle", possible, 1.0, 1.0)]


def _line(voting: str, asked: Sequence[_Asked]) -> Line:
    from arc.grid import same
    from arc.scoring import right_outputs
    from arc.voting import vote

    solved, sure, first = 0, [], []
    for task, written in asked:
        attempts = [vote(own, voting=voting) for own in written]
        solved += all(right_outputs(task, [[grid for grid, _ in own] for own in attempts]))
        for own, pair in zip(attempts, task.test, strict=True):
            sure.append(own[0][1] if own else 0.0)
            first.append(bool(own) and same(own[0][0], pair.output))
    return Line(voting, solved, sum(sure) / len(sure), sum(first) / len(first))


def print_table(table: Sequence[Line], total: int) -> None:
    from arc.scoring import wilson

    print(f"{'voting':17} {'solved':>6}  of {total}, 95 % interval     sure  first")
    for line in table:
        low, high = wilson(line.solved, total)
        rate = f"{line.solved / total:6.1%}  {low:6.1%} to {high:6.1%}"
        print(f"{line.name:17} {line.solved:6}  {rate}  {line.sure:6.1%} {line.first:6.1%}")


if __name__ == "__main__":
    run_command(main)
