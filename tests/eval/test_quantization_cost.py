"""The command that says what four bits cost, on a tiny base."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_bases import write_canvas_base

from eval.quantization_cost import main
from hone.errors import BadInput


def test_both_forms_answer_alike_and_the_packed_one_is_smaller(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_canvas_base(tmp_path / "base", context=400)
    assert main(["--model_path", str(folder), "--count", "1", "--dtype", "fp32"]) == 0
    _, none, resident, packed = (row.split() for row in capsys.readouterr().out.splitlines())
    assert resident[4:6] == packed[4:6] != none[4:6]  # loss, share of tokens that are right
    assert float(packed[2]) < 0.3 * float(resident[2]) == 0.3 * float(none[2])


def test_a_base_that_reads_too_little_is_said(tmp_path: Path) -> None:
    folder = write_canvas_base(tmp_path / "base", context=20)
    with pytest.raises(BadInput, match="no task fits into the 20 tokens"):
        main(["--model_path", str(folder), "--count", "1"])
