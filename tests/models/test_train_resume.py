"""Base training survives: killed, given more, cut off by a full disk, drawn by others."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import Words, assert_same_end, record_of, refusal

from hone.errors import Damaged
from hone.files import write_bytes
from models import train_base
from models.base import load_base
from models.train_base import main
from models.training import checkpoint, drawing
from models.training.checkpoint import BEFORE_DECAY, LATEST, read_checkpoint
from models.training.learner import Learner
from models.training.settings import TrainBaseSettings

torch.set_num_threads(1)
COMMAND = Path(train_base.__file__)
pytestmark = pytest.mark.usefixtures("known_peak")


def test_started_again_a_finished_run_writes_its_base_again_and_measures_nothing_twice(
    words: Words, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words()) == 0
    before = record_of(tmp_path / "run")
    weights = (tmp_path / "run" / "base" / "model.safetensors").read_bytes()
    assert main(words()) == 0
    assert record_of(tmp_path / "run") == before
    assert (tmp_path / "run" / "base" / "model.safetensors").read_bytes() == weights
    tokens = [measured["tokens"] for measured in before["held_out"]]
    assert tokens == sorted(set(tokens))
    assert f"continuing at step {before['steps']}" in capsys.readouterr().out


def test_a_run_that_was_killed_ends_as_one_that_was_not(words: Words, tmp_path: Path) -> None:
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    _kill_after(words(out_dir=killed, steps=40), killed, 10)
    steps = record_of(killed)["steps"]
    assert 10 <= steps < 40 and not (killed / "base").exists()
    for folder in (killed, straight):
        assert main(words(out_dir=folder, steps=40)) == 0
    assert_same_end(killed, straight)
    assert sorted(path.name for path in killed.iterdir()) == ["base", BEFORE_DECAY, LATEST]


def _kill_after(argv: list[str], folder: Path, steps: int) -> None:
    """kill -9, once a checkpoint holds so many steps."""
    process = subprocess.Popen(
        [sys.executable, str(COMMAND), *argv],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 300
    try:
        while _steps_in(folder) < steps:
            assert process.poll() is None and time.monotonic() < until, "no checkpoint was written"
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _steps_in(folder: Path) -> int:
    """Read without the run's lock: the file may be replaced meanwhile."""
    try:
        found = read_checkpoint(folder)
    except Damaged:
        return 0
    return 0 if found is None else int(found.record["steps"])


def test_a_run_that_is_given_more_goes_on_from_before_its_decay(
    words: Words, tmp_path: Path
) -> None:
    longer, straight = tmp_path / "longer", tmp_path / "straight"
    assert main(words(out_dir=longer, steps=20)) == 0
    assert record_of(longer)["steps"] == 20 and record_of(longer)["decaying"]
    assert record_of(longer, BEFORE_DECAY)["steps"] == 14
    for folder in (longer, straight):
        assert main(words(out_dir=folder, steps=40)) == 0
    assert record_of(longer, BEFORE_DECAY)["steps"] == 27
    assert record_of(longer)["losses"] == record_of(straight)["losses"]
    weights = [(f / "base" / "model.safetensors").read_bytes() for f in (longer, straight)]
    assert weights[0] == weights[1]


def test_a_run_that_has_gone_further_than_its_new_end_is_refused(
    words: Words, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(steps=20)) == 0
    said = refusal(words(steps=14), capsys)
    assert "14 steps without its decay, all of --steps 14; raise it" in said
    assert "all of --minutes 1e-06; raise it" in refusal(words(steps=0, minutes=1e-6), capsys)
    assert record_of(tmp_path / "run")["steps"] == 20


def test_minutes_are_kept_and_end_with_the_decay(words: Words, tmp_path: Path) -> None:
    begun = time.monotonic()
    assert main(words(steps=0, minutes=0.03, every=60)) == 0
    record = record_of(tmp_path / "run")
    assert 1.8 <= record["seconds"] < 1.8 + (time.monotonic() - begun)
    assert record["decaying"] and load_base(tmp_path / "run" / "base").parameters


def test_batches_are_the_same_whoever_draws_them(words: Words, tmp_path: Path) -> None:
    here, ahead = tmp_path / "here", tmp_path / "ahead"
    assert main(words(out_dir=here)) == 0
    assert main(words(out_dir=ahead, drawers=2)) == 0
    assert_same_end(here, ahead)


def test_a_crew_computes_what_one_thread_computes(words: Words, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        for name, many in (("one", 1), ("two", 2), ("again", 2)):
            given = words(out_dir=tmp_path / name, threads=many, dtype="fp32", steps=4)
            assert main(given) == 0
    finally:
        torch.set_num_threads(threads)
    assert_same_end(tmp_path / "two", tmp_path / "again")
    alone, together = (record_of(tmp_path / name)["losses"] for name in ("one", "two"))
    assert alone == pytest.approx(together, abs=2e-3)


def test_a_process_that_draws_and_dies_ends_the_run_in_one_line(
    words: Words, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = Learner.learn

    def dying(self: Learner, *given: Any) -> Any:
        for drawer in opened:
            drawer.process.kill()
            drawer.process.wait()
        return step(self, *given)

    opened: list[Any] = []
    start = drawing._Drawer.__init__

    def started(self: Any, settings: TrainBaseSettings) -> None:
        start(self, settings)
        opened.append(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Learner, "learn", dying)
        patched.setattr(drawing._Drawer, "__init__", started)
        said = refusal(words(drawers=1, steps=50), capsys)
    assert "a process that draws episodes has ended; use none, with --drawers 0" in said
    assert len(opened) == 1


def test_a_full_disk_ends_the_run_in_one_line_and_the_last_checkpoint_goes_on(
    words: Words, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[Path] = []

    def until_full(path: Path, content: bytes) -> None:
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        written.append(path)
        write_bytes(path, content)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoint, "write_bytes", until_full)
        said = refusal(words(), capsys)
    assert "No space left on device; free some space" in said
    assert record_of(tmp_path / "run")["steps"] == 3
    assert main(words()) == 0
    assert main(words(out_dir=tmp_path / "straight")) == 0
    assert_same_end(tmp_path / "run", tmp_path / "straight")
