"""Runs of base training that take a second, and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hone.errors import run_command
from models.train_base import main
from models.training.checkpoint import LATEST, read_checkpoint

SMALL = {
    "hidden_size": 32,
    "layers": 1,
    "heads": 2,
    "ffn_size": 32,
    "max_tokens": 160,
    "batch_tokens": 640,
    "every": 0.001,  # a checkpoint after every step
    "threads": 1,
    "steps": 12,
}

Words = Callable[..., list[str]]


def record_of(folder: Path, name: str = LATEST) -> dict[str, Any]:
    found = read_checkpoint(folder, name)
    assert found is not None
    return found.record


def assert_same_end(one: Path, other: Path) -> None:
    """Bit for bit: parameters, optimizers, losses, and the base that was written."""
    ends = [read_checkpoint(folder) for folder in (one, other)]
    assert ends[0] is not None and ends[1] is not None
    assert ends[0].tensors.keys() == ends[1].tensors.keys()
    for name, tensor in ends[0].tensors.items():
        assert torch.equal(tensor, ends[1].tensors[name]), name
    for part in ("losses", "held_out", "tokens", "steps"):
        assert ends[0].record[part] == ends[1].record[part]
    weights = [(folder / "base" / "model.safetensors").read_bytes() for folder in (one, other)]
    assert weights[0] == weights[1]


def refusal(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says, in one line and with exit code 2."""
    with pytest.raises(SystemExit) as left:
        run_command(lambda: main(argv))
    lines = capsys.readouterr().err.split("\n")
    said = [line for line in lines if line and "%|" not in line]  # beside the progress bar's
    assert left.value.code == 2 and said[0].startswith("error: ") and len(said) == 1
    return said[0]
