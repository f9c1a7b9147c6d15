"""data/examples: tasks that anyone can draw again from their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from arc.generators import FAMILIES, sample_task
from arc.generators.__main__ import main
from arc.readers import read_tasks

EXAMPLES = Path(__file__).parent.parent.parent / "data" / "examples"
FILES = sorted(EXAMPLES.glob("*.json"))


def test_there_are_six_small_tasks_of_families_held_out() -> None:
    tasks = read_tasks(EXAMPLES)
    assert len(tasks) == 6
    for task in tasks:
        assert FAMILIES[task.id.rsplit("-", 1)[0]].held_out
        grids = [g for p in (*task.train, *task.test) for g in (p.input, p.output) if g is not None]
        assert len(grids) == 8 and max(max(g.shape) for g in grids) <= 10
    assert sum(file.stat().st_size for file in FILES) < 10_000


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_what_its_name_draws(file: Path) -> None:
    name, seed = file.stem.rsplit("-", 1)
    (read,) = read_tasks(file)
    assert read == sample_task(FAMILIES[name], int(seed))


def test_the_generators_write_them_again_byte_by_byte(tmp_path: Path) -> None:
    families = ",".join(sorted({file.stem.rsplit("-", 1)[0] for file in FILES}))
    seeds = {file.stem.rsplit("-", 1)[1] for file in FILES}
    assert len(seeds) == 1
    assert main(["--out_dir", str(tmp_path), "--families", families, "--seed", seeds.pop()]) == 0
    for file in FILES:
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
    assert any(line.strip().startswith("[0, ") for line in FILES[0].read_text().splitlines()), (
        "a row of a grid stands on a line of its own"
    )
