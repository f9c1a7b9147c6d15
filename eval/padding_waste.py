"""Measures the share of padding in what training steps compute, for a folder's tasks.

    python eval/padding_waste.py --data_dir data/examples --k 8

Takes a step's items for K tasks at a time, as training does, and counts the tokens that each way of
arranging them in rectangles would compute. Nothing is trained. The last line is JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.settings import Settings
from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from models.multilora.packed import Weighted

    Step = list[list[Weighted]]  # items of every slot

NAIVE = "four items at a time, as they come"  # taking an item of each task in turn
WHOLE = "a rectangle for the whole step"
ALIKE = "rectangles of like length"  # models that use their own forward
PACKED = "packed"  # Llama, Qwen2, Mistral


@dataclass(frozen=True)
class PaddingSettings(Settings):
    data_dir: Path | None = option(None, "folder of ARC tasks")


@dataclass
class Counted:
    """Counts of one way: real tokens, computed tokens, forwards."""

    real: int = 0
    computed: int = 0
    forwards: int = 0

    @property
    def waste(self) -> float:
        return 1 - self.real / self.computed


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        PaddingSettings, argv, env_prefix="HONE_PADDING_", description=__doc__ or ""
    )
    found = measured(settings)
    for way, counted in found.items():
        print(f"{way:35} {counted.waste:6.1%} padding, {counted.forwards} forwards")
    told: dict[str, Any] = {"bench": "padding", "tokens": found[PACKED].real}
    told["waste"] = {way: round(counted.waste, 4) for way, counted in found.items()}
    print(json.dumps(told))
    return 0


def measured(settings: PaddingSettings) -> dict[str, Counted]:
    from models.multilora.packed import parts_of, parts_of_like_length

    found = {way: Counted() for way in (NAIVE, WHOLE, ALIKE, PACKED)}
    for step in steps(settings):
        lengths = [[len(item) for item, _ in own] for own in step]
        in_turn = [length for turn in zip_longest(*lengths) for length in turn if length]
        for start in range(0, len(in_turn), 4):
            _add(found[NAIVE], in_turn[start : start + 4])
        _add(found[WHOLE], in_turn)
        for part in parts_of_like_length(step, settings.token_budget):
            _add(found[ALIKE], [len(one.encoded) for one in part])
        for part in parts_of(step, settings.token_budget):
            _add(found[PACKED], [sum(len(one.encoded) for one in part)])
    return found


def steps(settings: PaddingSettings) -> Iterator[Step]:
    """The first training step of K tasks at a time."""
    from arc.readers import read_tasks
    from client.arc_items import training_items
    from client.opening import open_base

    if settings.data_dir is None:
        raise BadInput("no --data_dir; name a folder of ARC tasks")
    if settings.k == "auto":
        raise BadInput("--k auto needs a training to measure; give a number")
    tasks, base = read_tasks(settings.data_dir), open_base(settings)
    for start in range(0, len(tasks), settings.k):
        made = (
            training_items(task, [], base.format, base.context, settings).items
            for task in tasks[start : start + settings.k]
        )
        yield [
            [(item.encoded, item.weight) for item in own[: settings.batch_size]]
            for own in made
            if own
        ]


def _add(counted: Counted, lengths: Sequence[int]) -> None:
    """Adds a rectangle that holds sequences of these lengths."""
    counted.real += sum(lengths)
    counted.computed += max(lengths) * len(lengths)
    counted.forwards += 1


if __name__ == "__main__":
    run_command(main)
