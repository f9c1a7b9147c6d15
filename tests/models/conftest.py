"""What tests of models share: the words of a short training run, a trivial source; C++ or not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from small_runs import SMALL, Words

from models.multilora import kernels


@pytest.fixture
def one_thread() -> Iterator[None]:
    """So small, threads cost more than they bring."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def native() -> None:
    if not kernels.available():
        pytest.skip("no C++ compiler here: plain torch is all there is to test")


@pytest.fixture(params=["plain", "native"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs with and without the C++."""
    if request.param == "native":
        request.getfixturevalue("native")
    else:
        monkeypatch.setattr(kernels, "library", lambda: None)


@pytest.fixture
def known_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring it takes longer than these runs."""
    monkeypatch.setattr("models.training.run.gemm_peak", lambda *of: 100.0)


@pytest.fixture(scope="session")
def flips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small tasks of one trivial rule, a file each; two of them are kept out by their names."""
    folder = tmp_path_factory.mktemp("sources") / "flips"
    folder.mkdir()
    rng = Random(0)

    def pair() -> dict[str, list[list[int]]]:
        rows = [[rng.randrange(4) for _ in range(3)] for _ in range(2)]
        return {"input": rows, "output": [row[::-1] for row in rows]}

    for number in range(40):
        task = {"train": [pair() for _ in range(3)], "test": [pair()]}
        (folder / f"flip-{number}.json").write_text(json.dumps(task))
    return folder


@pytest.fixture
def words(tmp_path: Path, flips: Path) -> Words:
    """The command's words for a run of some steps; named settings differ."""

    def spelled(**other: Any) -> list[str]:
        given = SMALL | {"sources": flips, "out_dir": tmp_path / "run"} | other
        return [
            word
            for name, value in given.items()
            for word in (
                f"--{name}",
                *(map(str, value) if isinstance(value, list) else [str(value)]),
            )
        ]

    return spelled
