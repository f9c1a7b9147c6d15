"""Checkpoints: training goes on from one as if it had never stopped; damage is told in a line."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from arc.canvas import CanvasFormat
from hone.errors import BadInput, Damaged
from models.training.checkpoint import (
    BEFORE_DECAY,
    LATEST,
    only_run,
    read_checkpoint,
    refuse_other,
    save_checkpoint,
)
from models.training.episodes import Episodes
from models.training.line import in_line
from models.training.new_model import new_model
from models.training.optimizers import make_optimizers, step
from models.training.packed_llama import answer_loss
from models.training.settings import TrainBaseSettings
from models.training.sources import generator_source

torch.set_num_threads(1)
SETTINGS = TrainBaseSettings(hidden_size=16, layers=1, heads=2, ffn_size=16)
EPISODES = Episodes([generator_source(1.0)], 120, CanvasFormat())
LINES = [in_line(EPISODES.batch(f"0:{number}", 400)) for number in range(4)]
RECORD: dict[str, Any] = {"settings": {"seed": 0}, "contents": ["a"], "steps": 3}

Training = tuple[torch.nn.Module, list[torch.optim.Optimizer]]


def fresh(seed: int = 0, settings: TrainBaseSettings = SETTINGS) -> Training:
    torch.manual_seed(seed)
    model = new_model(settings)
    return model, make_optimizers(model, settings)


def steps(training: Training, count: int, since: int = 0) -> list[float]:
    model, optimizers = training
    losses = []
    for i in range(since, since + count):
        loss = answer_loss(model, LINES[i % len(LINES)], torch.bfloat16)
        loss.backward()  # type: ignore[no-untyped-call]
        step(model, optimizers, 1.0)
        losses.append(float(loss.detach()))
    return losses


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with a checkpoint after three steps."""
    training = fresh()
    steps(training, 3)
    save_checkpoint(tmp_path / "run", *training, RECORD)
    return tmp_path / "run"


def rewritten(folder: Path, change: Any, notes: dict[str, str] | None = None) -> None:
    """The checkpoint with other tensors, and other metadata where `notes` are given."""
    with safe_open(folder / LATEST, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(change(tensors), folder / LATEST, metadata if notes is None else notes)


def test_training_goes_on_as_if_it_had_never_stopped(saved: Path) -> None:
    straight = fresh()
    expected = steps(straight, 6)[3:]
    resumed = fresh(seed=1)
    checkpoint = read_checkpoint(saved)
    assert checkpoint is not None and checkpoint.record == RECORD
    checkpoint.fill(*resumed)
    assert steps(resumed, 3, since=3) == expected
    for one, other in zip(straight[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(one, other)


def test_nothing_there_is_a_run_not_begun(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path) is None


def test_the_state_before_the_decay_is_kept_apart(saved: Path) -> None:
    latest = (saved / LATEST).read_bytes()
    save_checkpoint(saved, *fresh(), RECORD | {"steps": 9}, BEFORE_DECAY)
    assert (saved / LATEST).read_bytes() == latest
    before = read_checkpoint(saved, BEFORE_DECAY)
    assert before is not None and before.record["steps"] == 9


def test_one_file_and_nothing_beside_it(saved: Path) -> None:
    save_checkpoint(saved, *fresh(), RECORD)
    assert [path.name for path in saved.iterdir()] == [LATEST]


@pytest.mark.parametrize("left", [0, 4, 500, -1])
def test_a_file_cut_short_is_refused_in_one_line(saved: Path, left: int) -> None:
    content = (saved / LATEST).read_bytes()
    (saved / LATEST).write_bytes(content[:left])
    with pytest.raises(Damaged, match=r"cannot be read: .*; remove it to start anew") as told:
        read_checkpoint(saved)
    assert "\n" not in str(told.value)


def test_a_byte_that_flips_anywhere_is_noticed(saved: Path) -> None:
    content, whole = (saved / LATEST).read_bytes(), read_checkpoint(saved)
    assert whole is not None
    rng = Random(0)
    for place in (rng.randrange(len(content)) for _ in range(40)):
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << rng.randrange(8)
        (saved / LATEST).write_bytes(spoilt)
        try:
            read = read_checkpoint(saved)
        except Damaged:
            continue
        assert read is not None, "only the name of the checksum itself may go unnoticed"
        assert read.record == whole.record
        assert all(torch.equal(read.tensors[name], kept) for name, kept in whole.tensors.items())


@pytest.mark.parametrize(
    ("notes", "message"),
    [({}, "cannot be read: 'record'"), ({"record": "{"}, "cannot be read")],
    ids=["foreign", "not JSON"],
)
def test_a_foreign_file_is_refused(saved: Path, notes: dict[str, str], message: str) -> None:
    rewritten(saved, dict, notes)
    with pytest.raises(Damaged, match=message):
        read_checkpoint(saved)


def test_a_checkpoint_of_another_model_is_refused(saved: Path) -> None:
    checkpoint = read_checkpoint(saved)
    wider = TrainBaseSettings(hidden_size=32, layers=1, heads=2, ffn_size=16)
    deeper = TrainBaseSettings(hidden_size=16, layers=2, heads=2, ffn_size=16)
    assert checkpoint is not None
    for settings in (wider, deeper):
        with pytest.raises(Damaged, match=r"does not hold model\.\S+ as the model has it"):
            checkpoint.fill(*fresh(settings=settings))


def test_what_differs_from_the_beginning_is_named() -> None:
    def begun(**settings: object) -> dict[str, Any]:
        return {"settings": settings, "contents": ["a", "b"]}

    refuse_other(begun(seed=0, layers=2), begun(seed=0, layers=2))
    with pytest.raises(BadInput, match=r"\(layers was 2, now 3; seed was 0, now 1\)"):
        refuse_other(begun(layers=2, seed=0), begun(layers=3, seed=1))
    other = begun(seed=0) | {"contents": ["a", "c"]}
    with pytest.raises(BadInput, match="the tasks of its sources have changed"):
        refuse_other(begun(seed=0), other)
    refuse_other({"settings": {"seed": 0}}, begun(seed=0))  # written before contents were kept


def test_one_run_at_a_time_and_what_a_killed_one_left_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    with only_run(folder):
        leftover = folder / f".{LATEST}.0123abcd"
        leftover.write_bytes(b"half")
        (folder / ".base.89abcdef").mkdir()
        (folder / ".base.89abcdef" / "config.json").write_text("half")
        (folder / ".base.old-89abcdef").mkdir()
        (folder / ".mine.89abcdef").write_text("not of a run")
        with (
            pytest.raises(BadInput, match=r"another run trains in .*one; wait for it"),
            only_run(folder),
        ):
            pass
        assert leftover.exists()
    with only_run(folder):
        assert [path.name for path in folder.iterdir()] == [".mine.89abcdef"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 36 KB."""
    if os.geteuid() != 0:
        pytest.skip("a full disk needs a file system of its own, which only root can mount")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=36k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_leaves_the_last_good_checkpoint(small_disk: Path) -> None:
    training = fresh()
    steps(training, 1)
    save_checkpoint(small_disk, *training, RECORD)
    good = (small_disk / LATEST).read_bytes()
    assert 18_000 < len(good) < 36_000, "one fits, two do not"
    with pytest.raises(OSError, match=re.escape("No space left on device")):
        save_checkpoint(small_disk, *training, RECORD | {"steps": 4})
    assert [path.name for path in small_disk.iterdir()] == [LATEST]
    assert (small_disk / LATEST).read_bytes() == good
    kept = read_checkpoint(small_disk)
    assert kept is not None and kept.record == RECORD
