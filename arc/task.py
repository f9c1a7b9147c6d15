"""A task: demonstration pairs that share a rule, and test inputs to apply it to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from arc.grid import Grid, grid, spell, to_rows
from hone.errors import BadInput


@dataclass(frozen=True, eq=False)
class Pair:
    input: Grid
    output: Grid | None = None  # None where the answer is not known

    def __eq__(self, other: object) -> bool:  # comparing arrays gives arrays, not a truth value
        return isinstance(other, Pair) and self._spelled() == other._spelled()

    def __hash__(self) -> int:
        return hash(self._spelled())

    def _spelled(self) -> tuple[str, str | None]:
        return spell(self.input), None if self.output is None else spell(self.output)


@dataclass(frozen=True)
class Task:
    id: str
    train: tuple[Pair, ...]
    test: tuple[Pair, ...]
    look: str = field(default="identity", compare=False)  # name of its augmentation

    def with_test(self, index: int) -> Task:
        """The same demos, with the test input at `index` alone."""
        return dataclasses.replace(self, test=(self.test[index],))

    def without_answers(self) -> Task:
        return dataclasses.replace(self, test=tuple(Pair(pair.input) for pair in self.test))


def task_from_json(data: Any, task_id: str, where: str) -> Task:
    """A checked task from `{"train": [{"input", "output"}...], "test": [...]}`."""
    if not isinstance(data, dict) or not {"train", "test"} <= data.keys():
        raise BadInput(f'{where}: a task is an object with "train" and "test"')
    train = tuple(
        _pair(pair, f"{where}: train pair {i}", answered=True)
        for i, pair in enumerate(_pairs(data["train"], f"{where}: train"))
    )
    test = tuple(
        _pair(pair, f"{where}: test pair {i}", answered=False)
        for i, pair in enumerate(_pairs(data["test"], f"{where}: test"))
    )
    return Task(task_id, train, test)


def task_to_json(task: Task) -> dict[str, list[dict[str, list[list[int]]]]]:
    def spelled(pair: Pair) -> dict[str, list[list[int]]]:
        answer = {} if pair.output is None else {"output": to_rows(pair.output)}
        return {"input": to_rows(pair.input), **answer}

    return {"train": [spelled(p) for p in task.train], "test": [spelled(p) for p in task.test]}


def _pairs(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise BadInput(f"{where} is empty or not a list; at least one pair is needed")
    return value


def _pair(value: Any, where: str, *, answered: bool) -> Pair:
    if not isinstance(value, dict) or "input" not in value:
        raise BadInput(f'{where} has no "input"')
    if answered and value.get("output") is None:
        raise BadInput(f'{where} has no "output"; only test pairs may leave it out')
    output = value.get("output")
    return Pair(
        grid(value["input"], f"{where} input"),
        None if output is None else grid(output, f"{where} output"),
    )
