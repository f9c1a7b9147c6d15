"""The schedule of a training run: each job's slot, its steps, and its tokens in each step.

Beside the jobs, a run's numbers depend on this alone, so with it a run can be repeated bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from client.jobs import Training
from hone.errors import BadInput


@dataclass(frozen=True)
class Sitting:
    """The stay of one job in its slot."""

    job: int
    slot: int
    entered_at: int
    step_tokens: tuple[int, ...]

    @classmethod
    def of(cls, training: Training) -> Sitting:
        return cls(training.job, training.slot, training.entered_at, tuple(training.step_tokens))


@dataclass(frozen=True)
class Seating:
    """The schedule of a run. Jobs are numbered in the order in which they entered."""

    slots: int
    width: int  # rank of the bank
    sittings: tuple[Sitting, ...]  # in the order of job numbers

    @classmethod
    def of(cls, slots: int, width: int, trainings: Iterable[Training]) -> Seating:
        return cls(slots, width, tuple(Sitting.of(one) for one in _by_number(trainings)))

    @classmethod
    def from_traces(cls, traces: Iterable[Mapping[str, Any]]) -> Seating:
        """The schedule of one run, from the `seat` in each trained query's trace, in any order."""
        seats = [trace["seat"] for trace in traces if "seat" in trace]
        runs = {(seat["run"], seat["slots"], seat["width"]) for seat in seats}
        if len(runs) != 1:
            raise BadInput(f"these traces are of {len(runs)} runs; give those of one run")
        ((_, slots, width),) = runs
        sittings = [
            Sitting(seat["job"], seat["slot"], seat["entered_at"], tuple(seat["step_tokens"]))
            for seat in sorted(seats, key=lambda seat: seat["job"])
        ]
        if [sitting.job for sitting in sittings] != list(range(len(sittings))):
            raise BadInput("some of the run's queries are not among these traces; take all of them")
        return cls(slots, width, tuple(sittings))

    @property
    def steps(self) -> int:
        return max((s.entered_at + len(s.step_tokens) for s in self.sittings), default=0)

    def check(self, other: Seating) -> None:
        """Raises BadInput if a replay's schedule `other` differs from this one."""
        for said, was in zip(self.sittings, other.sittings, strict=False):
            if said != was:
                raise BadInput(
                    f"job {said.job} is not the one of this schedule: it sat in slot {was.slot}"
                    f" from step {was.entered_at} with {list(was.step_tokens)} tokens, not in"
                    f" slot {said.slot} from step {said.entered_at} with {list(said.step_tokens)}"
                )


def _by_number(trainings: Iterable[Training]) -> Sequence[Training]:
    return sorted(trainings, key=lambda training: training.job)
