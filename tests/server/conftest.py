"""What the tests of the service share: small knowledge bases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kb_stores import write_base

from kb import build_kb
from kb.keeping import Keeping
from kb.records import Record


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("server") / "kb"
    build_kb.main(["--datasets", "generators:40", "generators:25:1", "--save_dir", str(path)])
    return path


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts, with vectors that nobody embedded."""
    records = [Record("sums", "text", f"How much is {i} and {i}?", f"{2 * i}") for i in range(30)]
    records += [Record("long", "text", "<img src=x onerror=alert(1)> & <b>bold</b>", "line\n" * 40)]
    vectors = np.random.default_rng(0).normal(size=(31, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return write_base(tmp_path_factory.mktemp("texts") / "sums", [(records, vectors)], Keeping())
