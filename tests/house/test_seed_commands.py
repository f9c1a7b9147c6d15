"""docs/seed-commands.md says no more than the code does, and no less."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "seed-commands.md"
COLUMNS = "| in the seed | its default | here | flag | default | state |"


@dataclass(frozen=True)
class Row:
    line: int
    seed: str
    seed_default: str
    here: str
    flag: str
    default: str
    state: str

    @property
    def works(self) -> bool:
        return self.state == "works"

    def __str__(self) -> str:
        return f"line {self.line}: {self.seed} -> {self.here} {self.flag}".rstrip()


def read_rows(page: str) -> list[Row]:
    rows = []
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("| ") and line != COLUMNS:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            seed, *rest = cells
            rows.append(Row(number, seed, *(cell.strip("`") for cell in rest)))
    return rows


ROWS = read_rows(PAGE.read_text())


def exists(row: Row) -> bool:
    """A file of the project, or a program of its environment."""
    beside = Path(sys.executable).parent
    search = os.pathsep.join([str(beside), os.environ.get("PATH", "")])
    return (ROOT / row.here).is_file() or bool(shutil.which(row.here.split()[0], path=search))


@pytest.fixture
def defaults(write_flags) -> dict[str, dict[str, str]]:
    """Flag -> default, for every command by its path."""
    return {
        command.file.relative_to(ROOT).as_posix(): {
            f"--{spelling}": write_flags.default_of(command.settings, field.name)
            for field in dataclasses.fields(command.settings)
            for spelling in (field.name, *field.metadata["also"])
        }
        for command in write_flags.commands()
    }


def same(one: str, other: str) -> bool:
    number = r"-?[\d.]+(e-?\d+)?"
    if re.fullmatch(number, one) and re.fullmatch(number, other):
        return float(one) == float(other)
    return one == other


def fault(row: Row, defaults: dict[str, dict[str, str]]) -> str:
    """Why the row cannot say `works`; empty when it can."""
    if not row.here or not exists(row):
        return f"there is no {row.here or 'place'}"
    if not row.flag:
        return ""
    if row.here not in defaults:
        return f"{row.here} is not a command"
    if row.flag not in defaults[row.here]:
        return f"{row.here} has no {row.flag}; it has {' '.join(defaults[row.here])}"
    found = defaults[row.here][row.flag]
    return (
        "" if not row.default or same(row.default, found) else f"its default is {found or 'none'}"
    )


def test_the_page_is_a_table_of_rows():
    assert len(ROWS) > 100
    odd = [str(row) for row in ROWS if not row.works and not row.state.startswith("not yet: ")]
    assert not odd, "a state is `works` or `not yet: what is missing`:\n" + "\n".join(odd)


def test_what_is_said_to_work_is_there(defaults):
    wrong = [f"{row}: {why}" for row in ROWS if row.works and (why := fault(row, defaults))]
    assert not wrong, "mend the code or the page:\n" + "\n".join(wrong)


def test_defaults_are_the_seeds(defaults):
    """Where a seed names a default and the flag works, the page shows what it is here."""
    silent = [str(r) for r in ROWS if r.works and r.flag and r.seed_default and not r.default]
    assert not silent, "fill in the default here:\n" + "\n".join(silent)


def test_what_is_there_is_not_called_missing(defaults):
    """A row of a bare flag (`--ttt`, not `--task coqa`) turns to `works` once the flag is there."""
    late = [
        str(row)
        for row in ROWS
        if row.flag and row.seed == f"`{row.flag}`" and not row.works and not fault(row, defaults)
    ]
    assert not late, "these flags exist with the stated default; mark them `works`:\n" + "\n".join(
        late
    )
