"""Voting again on a run's candidates: the table counts what it says it counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_bases import small_task, write_tasks

from arc.voter import HEARING_EXPERTS
from arc.voting import VOTERS
from eval.voters import lines, main, read_candidates
from hone.errors import BadInput


def row(name: str, *grids: str | None) -> dict[str, Any]:
    views = [{"view": "identity", "grid": grid, "log_probability": -1.0} for grid in grids]
    return {"id": name, "trace": {"views": [views]}}


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, Path]:
    """Three tasks whose answers are 1, 2 and 3, and a fourth that was not in the run."""
    data = write_tasks(tmp_path / "data", [small_task(f"t{c}", c) for c in range(1, 5)])
    rows = [row("t1", "1", "1", None), row("t2", "5", "5", "6", "6", "2"), row("t3", "4", "4")]
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"tasks": rows}))
    return results, data


def test_voters_beside_the_oracle(run: tuple[Path, Path]) -> None:
    table = {line.name: line for line in lines(read_candidates(*run))}
    assert [*table] == [*(name for name in VOTERS if name not in HEARING_EXPERTS), "oracle"]
    assert (table["self-consistency"].solved, table["oracle"].solved) == (1, 2)
    assert table["oracle"].first == table["oracle"].sure == pytest.approx(2 / 3)
    assert table["self-consistency"].first == pytest.approx(1 / 3)
    assert table["self-consistency"].sure == pytest.approx((2 / 3 + 2 / 5 + 1) / 3)


def test_outputs_count_by_themselves(run: tuple[Path, Path], tmp_path: Path) -> None:
    results, _ = run
    two = row("two", "1") | {"trace": {"views": [row("", "5")["trace"]["views"][0]]}}
    two["trace"]["views"].append(row("", "1", "9", "9")["trace"]["views"][0])
    task = small_task("two", 1, tests=2)
    results.write_text(json.dumps({"tasks": [two]}))
    asked = read_candidates(results, write_tasks(tmp_path / "other", [task]))
    table = {line.name: line for line in lines(asked)}
    for name in ("self-consistency", "oracle"):
        assert (table[name].solved, table[name].right, table[name].outputs) == (0, 1, 2)


def test_the_command_prints_a_line_for_each(
    run: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    results, data = run
    assert main(["--results", str(results), "--data_dir", str(data)]) == 0
    out = capsys.readouterr().out
    assert "of 3" in out and all(name in out for name in ("hybrid", "oracle", "right at"))
    (line,) = [line for line in out.split("\n") if line.startswith("self-consistency  ")][:1]
    assert "50.0%" in line, "one of the two that were written"


def test_tasks_that_were_seen_before_are_not_voted_on(run: tuple[Path, Path]) -> None:
    results, data = run
    content = json.loads(results.read_text())
    content["tasks"][0]["leaked"] = {"base": ["train 0"]}
    results.write_text(json.dumps(content))
    assert [task.id for task, _ in read_candidates(results, data)] == ["t2", "t3"]


def test_a_task_of_the_same_name_with_more_test_inputs_is_named(run: tuple[Path, Path]) -> None:
    results, data = run
    write_tasks(data, [small_task("t2", 2, tests=2)])
    with pytest.raises(BadInput, match=r"t2 has 2 test inputs, .*results\.json answers 1"):
        read_candidates(results, data)


def test_unusable_input_is_named(run: tuple[Path, Path], tmp_path: Path) -> None:
    results, data = run
    other = write_tasks(tmp_path / "other", [small_task("x")])
    with pytest.raises(BadInput, match=r"has no task of .* whose outputs are known"):
        read_candidates(results, other)
    results.write_text("[]")
    with pytest.raises(BadInput, match="lacks results that this version writes"):
        read_candidates(results, data)
    with pytest.raises(BadInput, match="no --data_dir"):
        main([])


def test_experts_vote_where_they_were_asked(run: tuple[Path, Path]) -> None:
    results, _ = run
    content = json.loads(results.read_text())
    for row_ in content["tasks"]:
        for i, view in enumerate(row_["trace"]["views"][0]):
            view["experts"] = [float(-i), -1.0]
    results.write_text(json.dumps(content))
    table = {line.name: line for line in lines(read_candidates(*run))}
    assert [*table] == [*VOTERS, "oracle"]
    for name in HEARING_EXPERTS:
        assert len(table[name].attempts) == 1 + 2 + 1
