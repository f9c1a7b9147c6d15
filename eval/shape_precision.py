"""Measures how often the shape of an answer can be inferred, and how often that shape is right.

    python eval/shape_precision.py --data_dir data/training

Counts test outputs whose shape is known. Nothing is learned from these tasks: a rule either applies
or does not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from arc.task import Task


@dataclass(frozen=True)
class ShapeSettings:
    data_dir: Path | None = option(None, "folder of ARC tasks, a task file, Kaggle's challenges")
    show_wrong: bool = option(False, "name the tasks whose shape was inferred wrongly")


@dataclass(frozen=True)
class Asked:
    """One test output: the rule that inferred its shape, and whether it was right."""

    task: str
    rule: str  # empty if no rule applied
    right: bool


def main(argv: Sequence[str] | None = None) -> int:
    from arc.readers import read_tasks

    settings = read_settings(
        ShapeSettings, argv, env_prefix="HONE_SHAPES_", description=__doc__ or ""
    )
    if settings.data_dir is None:
        raise BadInput("no --data_dir; name a folder of ARC tasks")
    asked = outputs(read_tasks(settings.data_dir))
    if not asked:
        raise BadInput(f"{settings.data_dir} has no test output to compare with; check --data_dir")
    print_table(asked)
    if settings.show_wrong:
        print("\n".join(one.task for one in asked if one.rule and not one.right))
    return 0


def outputs(tasks: Sequence[Task]) -> list[Asked]:
    from arc.shapes import inferred_shape

    found = []
    for task in tasks:
        for i, pair in enumerate(task.test):
            if pair.output is not None:
                inferred = inferred_shape(task.with_test(i))
                right = inferred is not None and inferred.shape == pair.output.shape
                found.append(Asked(task.id, inferred.rule if inferred else "", right))
    return found


def print_table(asked: Sequence[Asked]) -> None:
    """Prints a line for every rule, the most frequent first, then one for all together."""
    spoken = [one for one in asked if one.rule]
    by_rule: dict[str, list[Asked]] = {}
    for one in spoken:
        by_rule.setdefault(one.rule, []).append(one)
    print(f"{'rule':24} {'used':>6} {'right':>6}")
    for rule, own in sorted(by_rule.items(), key=lambda item: -len(item[1])):
        print(f"{rule:24} {len(own):6} {_rate(own):>7}")
    print(f"{'any':24} {len(spoken):6} {_rate(spoken):>7}")
    print(f"a rule was used for {len(spoken) / len(asked):.1%} of {len(asked)} outputs")


def _rate(asked: Sequence[Asked]) -> str:
    return f"{sum(one.right for one in asked) / len(asked):.1%}" if asked else "-"


if __name__ == "__main__":
    run_command(main)
