"""Style and types hold: each line of scripts/lint passes."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

PREFIX = '"$PYTHON" -m '
SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "lint"
CHECKS = [
    line.removeprefix(PREFIX) for line in SCRIPT.read_text().splitlines() if line.startswith(PREFIX)
]


def test_lint_checks_something():
    assert [check.split()[0] for check in CHECKS] == ["ruff", "ruff", "mypy"]


@pytest.mark.parametrize("check", CHECKS)
def test_style_and_types_hold(check, run):
    done = run(sys.executable, "-m", *shlex.split(check))
    assert done.returncode == 0, done.stdout + done.stderr
