"""Losses of bases, side by side."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from eval.base_curves import main
from hone.errors import BadInput, Damaged, NotThere

SVG = "{http://www.w3.org/2000/svg}"


def run(folder: Path, losses: list[tuple[int, float]]) -> Path:
    (folder / "base").mkdir(parents=True)
    record = {
        "parameters": 1_000_000,
        "tokens": losses[-1][0],
        "held_out": [{"tokens": tokens, "arc1": loss} for tokens, loss in losses],
    }
    (folder / "base" / "training_record.json").write_text(json.dumps(record))
    return folder


def test_a_line_in_the_table_and_in_the_picture_for_each_base(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = run(tmp_path / "one", [(400_000, 1.5), (3_000_000, 0.75)])
    two = run(tmp_path / "two", [(500_000, 1.25)])
    drawn = tmp_path / "curves.svg"
    assert main(["--bases", str(one), str(two / "base"), "--plot", str(drawn)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "| base | parameters | tokens | arc1 |"
    assert said[2:] == [
        "| one | 1,000,000 | 3,000,000 | 0.750 |",
        "| two | 1,000,000 | 500,000 | 1.250 |",
    ]
    root = ElementTree.fromstring(drawn.read_text())
    dots = [float(dot.attrib["cx"]) for dot in root.iter(f"{SVG}circle")]
    assert len(dots) == 3 and all(0 <= x <= 250 for x in dots)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    one = run(tmp_path / "one", [(400_000, 1.5)])
    other = run(tmp_path / "elsewhere" / "one", [(400_000, 1.5)])
    with pytest.raises(BadInput, match="two of --bases are called one"):
        main(["--bases", str(one), str(other)])
    with pytest.raises(BadInput, match="no --bases"):
        main([])
    with pytest.raises(NotThere, match=r"training_record\.json is not there"):
        main(["--bases", str(tmp_path)])
    (one / "base" / "training_record.json").write_text("{}")
    with pytest.raises(Damaged, match="no losses"):
        main(["--bases", str(one)])
