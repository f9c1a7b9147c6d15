"""Compares two runs over the same tasks: what only one solves, and whether that is chance.

compare_runs([Path("runs/eval"), Path("runs/more_views")], out_dir=Path("runs/eval"))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arc.scoring import mcnemar, paired_difference, wilson
from eval.arc_results import scored
from eval.results_file import read_results
from hone.errors import BadInput
from hone.files import write_text

Row = Mapping[str, Any]
_PLACES = {
    *("out_dir", "data_dir", "trained_dir", "keep_trained", "cohort_dir"),
    *("compare", "limit", "threads"),
}


@dataclass(frozen=True)
class Comparison:
    """Two runs, and pairs of their rows of the tasks that both score, in the first's order."""

    names: tuple[str, str]
    results: tuple[Mapping[str, Any], Mapping[str, Any]]
    pairs: list[tuple[Row, Row]]

    @property
    def solved(self) -> tuple[list[bool], list[bool]]:
        first, second = zip(*self.pairs, strict=True)
        return [bool(row["solved"]) for row in first], [bool(row["solved"]) for row in second]

    def only(self, side: int) -> list[str]:
        """The ids of the tasks that only this side (0 or 1) solves."""
        apart = [pair for pair in self.pairs if pair[0]["solved"] != pair[1]["solved"]]
        return [pair[side]["id"] for pair in apart if pair[side]["solved"]]

    @property
    def settings(self) -> list[tuple[str, Any, Any]]:
        """The settings that differ: name, value in the first, value in the second."""
        first, second = (one["settings"] for one in self.results)
        names = [name for name in first | second if name not in _PLACES]
        told = [(name, first.get(name), second.get(name)) for name in names]
        return [one for one in told if one[1] != one[2]]


def compare_runs(runs: Sequence[Path], out_dir: Path) -> None:
    """Prints the comparison, and draws it in `compare.html`."""
    from eval.report.page import comparison_report

    if len(runs) != 2:
        raise BadInput(f"--compare names {len(runs)} runs; name two folders of eval/arc_eval.py")
    compared = read_comparison(*runs)
    for line in lines(compared):
        print(line)
    write_text(out_dir / "compare.html", comparison_report(compared))
    print(f"report: {out_dir / 'compare.html'}")


def read_comparison(first: Path, second: Path) -> Comparison:
    a, b = (read_results(run, "solved", "leaked", "task") for run in (first, second))
    known = {row["id"]: row for row in scored(b["tasks"])}
    pairs = [
        (row, known[row["id"]])
        for row in scored(a["tasks"])
        if row["id"] in known and row["task"] == known[row["id"]]["task"]
    ]
    if not pairs:
        raise BadInput(f"{first} and {second} have no scored task in common; compare other runs")
    return Comparison((str(first), str(second)), (a, b), pairs)


def lines(compared: Comparison) -> Iterator[str]:
    a, b = compared.solved
    for mark, name, side in (("A", compared.names[0], a), ("B", compared.names[1], b)):
        low, high = wilson(sum(side), len(side))
        rate = f"{sum(side) / len(side):6.1%}  (95 %: {low:.1%} to {high:.1%})"
        yield f"{mark} {sum(side):4} of {len(side)}  {rate}  {name}"
    more, least, most = (100 * part for part in paired_difference(a, b))
    interval = f"{more:+.1f} points (95 %: {least:+.1f} to {most:+.1f})"
    yield f"B - A {interval}; McNemar p = {mcnemar(a, b):.2g}"
    for i, mark in enumerate("AB"):
        names = compared.only(i)
        yield f"{mark} alone solves {len(names)}" + (f": {', '.join(names)}" if names else "")
    for name, one, other in compared.settings:
        yield f"--{name}: {one} in A, {other} in B"
