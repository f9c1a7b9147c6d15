"""docs/generators.md says what the families are."""

from __future__ import annotations

import sys

from arc.generators import FAMILIES


def test_every_family_says_what_it_asks_for() -> None:
    for found in FAMILIES.values():
        assert found.says.endswith(".") and 20 < len(found.says) < 160, found.name


def test_the_page_is_true(run) -> None:
    done = run(sys.executable, "scripts/write_generators.py", "--check")
    assert done.returncode == 0, done.stderr
