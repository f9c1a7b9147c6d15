"""Compares all voters on the same candidates, and with the oracle.

    python eval/voters.py --results runs/eval/results.json --data_dir data/evaluation

Reads a run of eval/arc_eval.py or client/ttt_multi_lora.py, which keeps all candidates, and votes
again; nothing else is computed. The oracle chooses the right grid wherever one was written. A task
is solved if all its test outputs are; `outputs` counts each by itself. `sure` is the mean
confidence in first attempts, `first` the share of them that are right. A second table shows how
often attempts are right at each confidence. Tasks that were seen before are left out, as they are
from the score. Voters by experts take part if experts were asked in the run (`--voting experts` or
`panel`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from arc.candidates import Candidate
    from arc.task import Task

# a task, and a list of candidates for each test input
_Asked = tuple["Task", "list[list[Candidate]]"]
ORACLE = "oracle"


@dataclass(frozen=True)
class VotersSettings:
    results: Path = option(Path("runs/eval/results.json"), "results of a run")
    data_dir: Path | None = option(None, "the tasks of that run, with their outputs")


@dataclass(frozen=True)
class Attempt:
    place: int  # its rank at its test input, from 0
    confidence: float
    right: bool


@dataclass(frozen=True)
class Line:
    """The results of one voter: tasks solved, and its attempts."""

    name: str
    solved: int
    attempts: list[Attempt]
    outputs: int  # number of test outputs

    @property
    def sure(self) -> float:
        return sum(one.confidence for one in self.firsts) / self.outputs

    @property
    def first(self) -> float:
        return sum(one.right for one in self.firsts) / self.outputs

    @property
    def right(self) -> int:
        """Number of test outputs that are among the attempts."""
        return sum(one.right for one in self.attempts)

    @property
    def firsts(self) -> list[Attempt]:
        return [one for one in self.attempts if one.place == 0]


def main(argv: Sequence[str] | None = None) -> int:
    from eval.calibration import print_calibration

    settings = read_settings(
        VotersSettings, argv, env_prefix="HONE_VOTERS_", description=__doc__ or ""
    )
    if settings.data_dir is None:
        raise BadInput("no --data_dir; name the folder of tasks that the run answered")
    asked = read_candidates(settings.results, settings.data_dir)
    table = lines(asked)
    print_table(table, len(asked))
    told = {
        line.name: [(one.confidence, one.right) for one in line.attempts]
        for line in table
        if line.name != ORACLE
    }
    print_calibration(told)
    return 0


def read_candidates(results: Path, data_dir: Path) -> list[_Asked]:
    """The run's tasks that are scored, each with its candidates."""
    from arc.readers import read_tasks
    from eval.results_file import read_results

    content = read_results(results, "trace")
    rows = {row["id"]: row for row in content["tasks"] if not row.get("leaked")}
    tasks = [task for task in read_tasks(data_dir) if task.id in rows]
    known = [task for task in tasks if all(pair.output is not None for pair in task.test)]
    if not known:
        raise BadInput(
            f"{data_dir} has no task of {results} whose outputs are known; check --data_dir"
        )
    return [(task, _written(task, rows[task.id]["trace"], results)) for task in known]


def _written(task: Task, trace: Mapping[str, Any], results: Path) -> list[list[Candidate]]:
    from arc.candidates import hear

    if (answered := len(trace["views"])) != len(task.test):
        raise BadInput(
            f"{task.id} has {len(task.test)} test inputs, {results} answers {answered}; check"
            " --data_dir"
        )
    return [hear(own) for own in trace["views"]]


def lines(asked: Sequence[_Asked]) -> list[Line]:
    from arc.voter import HEARING_EXPERTS
    from arc.voting import VOTERS, oracle

    written = [one for _, lists in asked for own in lists for one in own]
    heard = any(one.experts for one in written)
    possible = [
        [oracle(own, pair.output) for own, pair in zip(lists, task.test, strict=True)]
        for task, lists in asked
    ]
    chosen = [Attempt(0, float(right), right) for own in possible for right in own]
    return [
        *(_line(name, asked) for name in VOTERS if heard or name not in HEARING_EXPERTS),
        Line(ORACLE, sum(map(all, possible)), chosen, len(chosen)),
    ]


def _line(voting: str, asked: Sequence[_Asked]) -> Line:
    from arc.grid import same
    from arc.scoring import right_outputs
    from arc.voting import vote

    solved, tried, outputs = 0, [], 0
    for task, written in asked:
        attempts = [vote(own, voting=voting) for own in written]
        solved += all(right_outputs(task, [[grid for grid, _ in own] for own in attempts]))
        outputs += len(task.test)
        for own, pair in zip(attempts, task.test, strict=True):
            for place, (grid, share) in enumerate(own):
                tried.append(Attempt(place, share, same(grid, pair.output)))
    return Line(voting, solved, tried, outputs)


def print_table(table: Sequence[Line], total: int) -> None:
    from arc.scoring import wilson

    best = table[-1]
    outputs = f"of {best.outputs} outputs"
    print(
        f"{'voting':17} {'solved':>6}  {f'of {total} tasks, 95 % interval':25} of oracle"
        f"  {outputs:>15}  of oracle   sure  first"
    )
    for line in table:
        low, high = wilson(line.solved, total)
        print(
            f"{line.name:17} {line.solved:6}  {line.solved / total:6.1%}  {low:6.1%} to {high:6.1%}"
            f"   {_share(line.solved, best.solved)}  {line.right:>{len(outputs)}}"
            f"  {_share(line.right, best.right)} {line.sure:6.1%} {line.first:6.1%}"
        )


def _share(found: int, possible: int) -> str:
    return f"{found / possible:9.1%}" if possible else f"{'-':>9}"


if __name__ == "__main__":
    run_command(main)
