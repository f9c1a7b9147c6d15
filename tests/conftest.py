"""What all tests share: real data where there is some, and no deadlines on a busy machine.

Real data is looked for in the folder named by HONE_TEST_DATA, else in `shared` beside the project.
Where tests run side by side, each computes on one thread, and so do the programs that it starts:
the threads of several would only wait for each other.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, which reads it then

settings.register_profile("hone", deadline=None, max_examples=50)
settings.load_profile("hone")


@pytest.fixture
def arc_data() -> Path:
    """The folder with `training`, `evaluation_dev` and `generated`."""
    return _data("arc")


@pytest.fixture
def text_data() -> Path:
    """The folder with questions and answers as JSON lines."""
    return _data("text")


def _data(name: str) -> Path:
    folder = Path(os.environ.get("HONE_TEST_DATA") or ROOT.parent / "shared") / name
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; name its folder with HONE_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def canvas_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base that reads grids."""
    from tiny_bases import write_canvas_base

    return write_canvas_base(tmp_path_factory.mktemp("bases") / "canvas")


@pytest.fixture(scope="session")
def task_kb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A knowledge base of a few small tasks."""
    from tiny_bases import small_task, write_tasks

    from kb import build_kb

    folder = tmp_path_factory.mktemp("task_kb")
    tasks = write_tasks(folder / "known", [small_task(f"known{c}", c) for c in range(4, 9)])
    build_kb.main(["--datasets", str(tasks), "--save_dir", str(folder / "kb")])
    return folder / "kb"


@pytest.fixture(scope="session")
def text_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base that reads and writes words."""
    from tiny_bases import write_text_base

    return write_text_base(tmp_path_factory.mktemp("bases") / "text")


@pytest.fixture(scope="session")
def text_kb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colours of things, embedded by the packaged text embedder."""
    from tiny_bases import write_records

    from kb import build_kb

    folder = tmp_path_factory.mktemp("text_kb")
    records = write_records(folder / "colours.jsonl")
    build_kb.main(["--datasets", str(records), "--save_dir", str(folder / "kb")])
    return folder / "kb"
