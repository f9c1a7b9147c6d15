"""What the tests of the service share: a small knowledge base."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb import build_kb


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("server") / "kb"
    build_kb.main(["--datasets", "generators:40", "generators:25:1", "--save_dir", str(path)])
    return path
