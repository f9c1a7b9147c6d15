"""What embedders are worth, measured by a command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from arc.generators import FAMILIES, sample_task
from arc.task import task_to_json
from eval.embedder_recall import chance, found_within, kind_of, main
from hone.errors import BadInput


def test_first_neighbours_are_mostly_of_the_same_family(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--count", "2"]) == 0
    first, found = capsys.readouterr().out.splitlines()
    assert f"{2 * len(FAMILIES)} tasks of {len(FAMILIES)} kinds; chance at 1: 0.004" in first
    assert float(found.split()[2]) > 0.6


def test_found_within_k_neighbours() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0, 1]], dtype=np.float32)
    found = found_within(vectors, ["a", "b", "a", "b"])
    assert found[1] == [False, False, False, False]
    assert found[5] == [True, True, True, True]


def test_chance_is_what_a_blind_draw_finds() -> None:
    assert chance(["a", "a", "b", "b"]) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("task_id", "kind"),
    [("1d_fill_12", "1d_fill"), ("AboveBelow3", "AboveBelow"), ("crosses_9000", "crosses")],
)
def test_a_file_is_named_by_its_kind(task_id: str, kind: str) -> None:
    assert kind_of(task_id) == kind


def test_text_embedders_read_the_same_tasks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for family, seed in [("transpose", 1), ("transpose", 2), ("crosses", 1), ("crosses", 2)]:
        spelled = json.dumps(task_to_json(sample_task(FAMILIES[family], seed)))
        (tmp_path / f"{family}_{seed}.json").write_text(spelled)
    assert main(["--embedders", "arc", "minilm", "--data_dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "4 tasks of 2 kinds" in said
    assert "minilm: recall@1" in said
    assert "against the first" in said


def test_tasks_without_a_second_of_their_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "lonely.json").write_text(
        json.dumps(task_to_json(sample_task(FAMILIES["transpose"], 1)))
    )
    with pytest.raises(BadInput, match="no two tasks of one kind"):
        main(["--data_dir", str(tmp_path)])
