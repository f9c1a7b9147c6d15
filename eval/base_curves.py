"""Compares the losses of bases over the number of tokens that they were trained on.

    python eval/base_curves.py --bases runs/both runs/pair --plot docs/base-ablation.svg

Prints a table, and draws curves. Each base's folder records its training in `training_record.json`:
the mean loss of an answer's token, on questions that were never trained on. Losses can be compared
between bases that answered the same questions: those that fit into --max_tokens of their training.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.errors import BadInput, Damaged, NotThere, run_command
from hone.settings import option, read_settings

_A_ROW = 3  # panels in a row


@dataclass(frozen=True)
class CurvesSettings:
    bases: tuple[Path, ...] = option((), "folders of bases, or of runs that hold one in base/")
    plot: Path | None = option(None, "SVG file to draw the losses over tokens into")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        CurvesSettings, argv, env_prefix="HONE_CURVES_", description=__doc__ or ""
    )
    if not settings.bases:
        raise BadInput("no --bases; name the folders of bases to compare")
    records = named_records(settings.bases)
    print("\n".join(table(records)))
    if settings.plot:
        from hone.files import write_text

        write_text(settings.plot, curves(records))
    return 0


def named_records(folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Each base's record, by the name of its folder, or of the parent of a folder `base`."""
    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        inner = folder / "base" if (folder / "base").is_dir() else folder
        name = inner.parent.name if inner.name == "base" else inner.name
        if name in found:
            raise BadInput(f"two of --bases are called {name}; rename one of the folders")
        found[name] = _record(inner / "training_record.json")
    return found


def table(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each base, with the losses at the end of its training."""
    tests = _tests(records)
    lines = [_line(["base", "parameters", "tokens", *tests])]
    lines.append(_line(["---"] * (3 + len(tests))))
    for name, record in records.items():
        last = record["held_out"][-1]
        own = [f"{last[test]:.3f}" if test in last else "" for test in tests]
        lines.append(_line([name, f"{record['parameters']:,}", f"{record['tokens']:,}", *own]))
    return lines


def curves(records: Mapping[str, Mapping[str, Any]]) -> str:
    """A panel for each kind of question, with a line for each base."""
    from eval.chart import Panel, chart

    tokens = [look["tokens"] for record in records.values() for look in record["held_out"]]
    ticks = _ticks(min(tokens), max(tokens))
    panels = [
        Panel(
            test,
            {
                name: [(look["tokens"], look[test]) for look in record["held_out"] if test in look]
                for name, record in records.items()
            },
            ticks,
            bottom=None,
        )
        for test in _tests(records)
    ]
    rows = [panels[i : i + _A_ROW] for i in range(0, len(panels), _A_ROW)]
    return chart(rows, "base")


def _record(path: Path) -> dict[str, Any]:
    from hone.files import read_json

    if not path.is_file():
        raise NotThere(f"{path} is not there; name the folder of a base that this program trained")
    record = read_json(path)
    if not isinstance(record, dict) or not record.get("held_out"):
        raise Damaged(f"{path} has no losses (held_out); train the base again")
    return record


def _tests(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    looks = (look for record in records.values() for look in record["held_out"])
    return [
        name for name in dict.fromkeys(key for look in looks for key in look) if name != "tokens"
    ]


def _ticks(low: int, high: int) -> list[tuple[float, str]]:
    """Tick values that double, or quadruple if there are many, from below `low` to above `high`,
    labelled in millions of tokens."""
    factor = 2 if high < low * 2**6 else 4
    value = 1e6 / 2**10
    while value * 2 <= low:
        value *= 2
    ticks = [value]
    while ticks[-1] < high:
        ticks.append(ticks[-1] * factor)
    return [(tick, f"{tick / 1e6:.4g}M") for tick in ticks]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    run_command(main)
