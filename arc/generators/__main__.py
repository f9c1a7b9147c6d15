"""Write tasks of our own as files, and a sheet that shows one task of each family.

python -m arc.generators --out_dir data/generated --count 4 --families held_out
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arc.generators import FAMILIES, Family, held_out_families, sample_task, training_families
from arc.task import Task, task_to_json
from hone.errors import BadInput, run_command
from hone.files import write_text
from hone.settings import option, read_settings

SHEET = "contact.svg"


@dataclass(frozen=True)
class GeneratorSettings:
    out_dir: Path | None = option(None, "folder that the task files and contact.svg go to")
    count: int = option(1, "tasks of each family", low=1)
    seed: int = option(0, "seed of a family's first task; its next task has the next seed", low=0)
    families: str = option("all", "all, training, held_out, or names joined by commas")
    demos: int = option(3, "demonstration pairs of each task", low=1, high=10)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        GeneratorSettings,
        argv,
        env_prefix="HONE_GENERATORS_",
        description="Write ARC tasks of our own as JSON files, with a sheet to look at.",
    )
    folder = _folder(settings.out_dir)
    chosen = families_named(settings.families)
    seeds = range(settings.seed, settings.seed + settings.count)
    tasks = {found: [sample_task(found, s, settings.demos) for s in seeds] for found in chosen}
    _write(folder, tasks)
    print(f"{sum(map(len, tasks.values()))} tasks of {len(chosen)} families in {folder}")
    return 0


def families_named(words: str) -> list[Family]:
    """The families that `--families` asks for, each once."""
    groups = {
        "all": [found for _, found in sorted(FAMILIES.items())],
        "training": training_families(),
        "held_out": held_out_families(),
    }
    if words in groups:
        return groups[words]
    names = dict.fromkeys(name.strip() for name in words.split(","))
    for name in names:
        if name not in FAMILIES:
            raise BadInput(
                f"no family {name!r} (--families); choose {', '.join(groups)},"
                f" or from {', '.join(sorted(FAMILIES))}"
            )
    return [FAMILIES[name] for name in names]


def _folder(out_dir: Path | None) -> Path:
    if out_dir is None:
        raise BadInput("no folder to write to; name one with --out_dir")
    if out_dir.exists() and not out_dir.is_dir():
        raise BadInput(f"--out_dir {out_dir} is a file; name a folder")
    return out_dir


def _write(folder: Path, tasks: dict[Family, list[Task]]) -> None:
    from arc.generators.contact import contact_sheet

    sheet = contact_sheet([(found, drawn[0]) for found, drawn in tasks.items()])
    for drawn in tasks.values():
        for task in drawn:
            write_text(folder / f"{task.id}.json", _a_row_a_line(task))
    write_text(folder / SHEET, sheet)


def _a_row_a_line(task: Task) -> str:
    """The task's JSON, with every row of a grid on a line of its own."""
    spread = json.dumps(task_to_json(task), indent=1)
    rows = re.compile(r"\[\s+(\d(?:,\s+\d)*)\s+\]")
    return rows.sub(lambda row: f"[{' '.join(row[1].split())}]", spread) + "\n"


if __name__ == "__main__":
    run_command(main)
