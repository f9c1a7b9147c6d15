"""Padding on real lengths: what is left of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_bases import small_task, write_tasks

from eval.padding_waste import ALIKE, NAIVE, PACKED, main
from hone.errors import BadInput


def waste_of(data: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    flags = {"data_dir": data, "model_path": base, "k": 8, "batch_size": 4, "num_pseudo": 4}
    assert main([f"--{name}={value}" for name, value in flags.items()]) == 0
    told: dict[str, float] = json.loads(capsys.readouterr().out.splitlines()[-1])["waste"]
    return told


def test_padding_is_below_a_tenth_on_the_lengths_of_real_tasks(
    arc_data: Path, canvas_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waste = waste_of(arc_data / "training" / "arc1", canvas_base, capsys)
    assert waste[PACKED] == 0 < waste[ALIKE] < 0.1 < waste[NAIVE]


def test_a_folder_of_small_tasks(
    tmp_path: Path, canvas_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_tasks(tmp_path / "data", [small_task(f"t{c}", c, demos=c) for c in range(2, 7)])
    waste = waste_of(data, canvas_base, capsys)
    assert waste[PACKED] == 0 <= waste[ALIKE] < 0.1


def test_without_a_folder_or_a_number_nothing_is_measured(canvas_base: Path) -> None:
    with pytest.raises(BadInput, match="no --data_dir"):
        main(["--model_path", str(canvas_base)])
    with pytest.raises(BadInput, match="--k auto needs a training"):
        main(["--data_dir", "nowhere", "--k", "auto"])
