"""Two runs side by side: only tasks that both score, and who solves what alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eval_rows import results, row

from arc.scoring import mcnemar
from eval.arc_eval import main
from eval.compare import lines, read_comparison
from eval.report.told import comparison_told
from hone.errors import BadInput


def write_run(folder: Path, solved: dict[str, bool], **settings: Any) -> Path:
    rows = [row([right], [False], name=name) for name, right in solved.items()]
    told = results(rows)
    told["settings"] |= settings
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    a = {"one": True, "two": False, "three": True, "four": False, "alone": True}
    b = {"four": True, "three": True, "two": True, "one": False, "other": True}
    first = write_run(tmp_path / "a", a, views=8, out_dir="runs/a")
    return first, write_run(tmp_path / "b", b, views=16, out_dir="runs/b", cohort_dir="c")


def test_the_difference_is_paired_by_task(runs: tuple[Path, Path]) -> None:
    compared = read_comparison(*runs)
    assert [a["id"] for a, _ in compared.pairs] == ["one", "two", "three", "four"]
    assert compared.solved == ([True, False, True, False], [False, True, True, True])
    assert (compared.only(0), compared.only(1)) == (["one"], ["two", "four"])
    assert compared.settings == [("views", 8, 16)]
    said = list(lines(compared))
    assert said[0].startswith("A    2 of 4   50.0%  (95 %: ") and said[0].endswith(str(runs[0]))
    assert said[2].startswith("B - A +25.0 points (95 %: ")
    assert said[2].endswith(f"McNemar p = {mcnemar(*compared.solved):.2g}")
    assert said[3:] == [
        "A alone solves 1: one",
        "B alone solves 2: two, four",
        "--views: 8 in A, 16 in B",
    ]


def test_a_task_that_changed_its_grids_or_leaked_is_another(runs: tuple[Path, Path]) -> None:
    file = runs[1] / "results.json"
    told = json.loads(file.read_text())
    told["tasks"][0]["leaked"] = {"base": ["train 0"]}
    told["tasks"][1]["task"]["train"] = []
    file.write_text(json.dumps(told))
    assert [a["id"] for a, _ in read_comparison(*runs).pairs] == ["one", "two"]


def test_the_command_says_it_and_draws_it(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["--compare", *map(str, runs), "--out_dir", str(out)]) == 0
    assert "A alone solves 1: one" in capsys.readouterr().out
    page = (out / "compare.html").read_text()
    assert "A alone solves 1, B alone 2 of 4 tasks" in page and "16 in B" in page


def test_neighbours_are_those_of_their_own_run(runs: tuple[Path, Path]) -> None:
    for folder, grid in zip(runs, ("1", "2"), strict=True):
        told = json.loads((folder / "results.json").read_text())
        told["neighbours"] = {"5": [grid, grid]}
        (folder / "results.json").write_text(json.dumps(told))
    sides = comparison_told(read_comparison(*runs))["sides"]
    assert [side["neighbours"] for side in sides] == [{"5": ["1", "1"]}, {"5": ["2", "2"]}]


def test_what_cannot_be_compared_is_named(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--compare names 1 runs; name two"):
        main(["--compare", str(runs[0])])
    other = write_run(tmp_path / "c", {"nobody's": True})
    with pytest.raises(BadInput, match="have no scored task in common"):
        read_comparison(runs[0], other)
    (other / "results.json").write_text('{"tasks": [{"id": "old"}]}')
    with pytest.raises(
        BadInput, match="lacks results that this version writes; run the evaluation"
    ):
        read_comparison(runs[0], other)
