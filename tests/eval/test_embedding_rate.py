"""The builder's rate beside a bare encode(): both do the whole of their work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.embedding_rate import main
from hone.errors import BadInput


def test_both_sides_are_timed_on_the_same_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": f"The {word} river runs to the sea."} for word in ("old", "new", "old", "far")]
    (path := tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ["--texts", str(path), "--count", "9", "--batch_sizes", "2", "3", "--rounds", "1"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["texts"] == 3 and set(told["bare_texts_per_s"]) == {"2", "3"}
    assert told["ratio"] > 0 and told["best_batch_size"] in (2, 3)


def test_texts_must_be_named() -> None:
    with pytest.raises(BadInput, match="--texts"):
        main([])
    with pytest.raises(BadInput, match="texts were expected"):
        main(["--texts", "generators:3"])
