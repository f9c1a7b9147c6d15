"""A short endurance run: a rebuilt base and a kill, and every answer right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.bench import endurance
from eval.bench.endurance import _agree
from kb.wire import Hit


def test_answers_stay_right_through_a_reload_and_a_kill(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = ("--n", "2000", "--dimension", "16", "--k", "4", "--clients", "2")
    time = ("--minutes", "0.2", "--every", "3", "--out_dir", str(tmp_path))
    assert endurance.main([*size, *time]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["wrong"] == told["given_up"] == 0 and told["answers"] > 20
    assert told["kills"] >= 1 and told["reloads"] >= 1 and told["retried"] >= 1


def test_an_answer_of_two_versions_is_wrong() -> None:
    def hit(row: int, score: float, prompt: str) -> Hit:
        return Hit(id=row, source="s", kind="text", prompt=prompt, answer="", score=score)

    expected = [hit(1, 0.9, "one"), hit(2, 0.8, "two"), hit(3, 0.7, "three")]
    assert _agree(expected, expected)
    assert _agree([*expected[:2], hit(4, 0.70001, "four")], expected)
    assert not _agree([*expected[:2], hit(3, 0.7, "another")], expected)
    assert not _agree([*expected[:2], hit(3, 0.6, "three")], expected)
    assert not _agree(expected[:2], expected)
