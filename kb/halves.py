"""Splits data sets of text into two halves: one to train a base on, one to retrieve from.

    python -m kb halves --datasets data/gsm8k.jsonl --exclude data/gsm8k_test.jsonl \\
        --save_dir data/halves

Writes a.jsonl and b.jsonl, lines of {"prompt": ..., "completion": ...} that models/train_base.py
and kb/build_kb.py both read. Records that repeat or nearly repeat an earlier one, or give away a
test question, go into neither; left_out.jsonl lists them with the reason. The words of its prompt
alone decide a record's half, so it stays there whatever else is split with it.
"""

from __future__ import annotations

import json
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
    from kb.intake import Intake
    from kb.records import Record
    from kb.sources import Dataset

NAMES = ("a", "b")


@dataclass(frozen=True)
class HalvesSettings:
    datasets: tuple[str, ...] = option((), "data sets of text, spelled as for kb/build_kb.py")
    exclude: tuple[Path, ...] = option((), "test sets whose questions go into neither half")
    save_dir: Path = option(Path("data/halves"), "folder for a.jsonl and b.jsonl")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        HalvesSettings, argv, env_prefix="HONE_HALVES_", description=__doc__ or ""
    )
    from hone.files import whole_folder
    from kb.decontamination import open_test_sets
    from kb.intake import Intake
    from kb.left_out import LEFT_OUT, Report
    from kb.near_duplicates import NearDuplicates

    datasets = _texts(settings.datasets)
    _refuse_others(settings.save_dir)
    tests = open_test_sets(settings.exclude, "text") if settings.exclude else None
    with whole_folder(settings.save_dir) as folder:
        with Report(folder / LEFT_OUT) as report:
            counts = write_halves(Intake(report, tests, NearDuplicates()), datasets, folder)
        told = ", ".join(f"{name}.jsonl {count}" for name, count in counts.items())
        print(f"{told}; left out: {report or 'none'}")
    return 0


def write_halves(intake: Intake, datasets: Sequence[Dataset], folder: Path) -> dict[str, int]:
    """Writes both files; returns how many records went into each."""
    halves: dict[str, list[str]] = {name: [] for name in NAMES}
    for taken in intake.taken(None, datasets):
        row = {"prompt": taken.record.prompt, "completion": taken.record.answer}
        halves[half_of(taken.record)].append(json.dumps(row, ensure_ascii=False) + "\n")
    for name, lines in halves.items():
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return {name: len(lines) for name, lines in halves.items()}


def half_of(record: Record) -> str:
    from kb.words import spelled_hash, words

    return NAMES[spelled_hash(words(record.prompt)) % len(NAMES)]


def _texts(names: Sequence[str]) -> list[Dataset]:
    from kb.sources import find_datasets

    if not names:
        raise BadInput("no --datasets; name what to split")
    datasets = find_datasets(names)
    if datasets[0].kind != "text":
        raise BadInput(f"{datasets[0].spelled} holds ARC tasks; only text is split")
    return datasets


def _refuse_others(folder: Path) -> None:
    """Refuses a folder that is there and does not hold halves, since it would be replaced."""
    if folder.exists() and not all((folder / f"{name}.jsonl").is_file() for name in NAMES):
        raise BadInput(f"--save_dir {folder} exists and holds no halves; name another folder")


if __name__ == "__main__":
    run_command(main)
