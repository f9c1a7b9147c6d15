"""A training run on disk: safetensors files, each written whole or not at all, without pickle.

One file holds the latest state. Another holds the state before the learning rate began to fall,
from which a run can be given more time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from hone.errors import BadInput, Damaged
from hone.files import write_bytes

LATEST, BEFORE_DECAY = "checkpoint.safetensors", "before_decay.safetensors"
BASE = "base"  # the folder of the finished base
REMEDY = "remove it to start anew"


@dataclass(frozen=True)
class Checkpoint:
    file: Path
    tensors: dict[str, torch.Tensor]
    record: dict[str, Any]  # the run's progress, and the settings it was begun with

    def fill(self, model: torch.nn.Module, optimizers: list[torch.optim.Optimizer]) -> None:
        """Copies the saved parameters and optimizer state into these."""
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                saved = self.tensors.get(f"model.{name}")
                if saved is None or saved.shape != parameter.shape:
                    raise Damaged(f"{self.file} does not hold {name} as the model has it; {REMEDY}")
                parameter.copy_(saved)
        for i, optimizer in enumerate(optimizers):
            _fill(optimizer, f"optimizer.{i}.", self.tensors)


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Makes the folder, locks it for one run, and removes what a killed run left half-written."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        _hold(handle, folder)
        _sweep(folder)
        yield
    finally:
        os.close(handle)


def _sweep(folder: Path) -> None:
    """Removes what `write_bytes` and `whole_folder` leave behind when they are killed."""
    for name in (LATEST, BEFORE_DECAY):
        for half in folder.glob(f".{name}.*"):
            half.unlink()
    for half in folder.glob(f".{BASE}.*"):
        shutil.rmtree(half)


def _hold(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadInput(f"another run trains in {folder}; wait for it, or stop it") from None


def save_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    optimizers: list[torch.optim.Optimizer],
    record: dict[str, Any],
    name: str = LATEST,
) -> None:
    """Writes parameters, optimizer state and the run's record to one file, renamed into place."""
    tensors = {f"model.{name}": p.detach() for name, p in model.named_parameters()}
    for i, optimizer in enumerate(optimizers):
        for j, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{j}.{key}": value for key, value in state.items()}
    packed = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    spelled = json.dumps(record)
    notes = {"record": spelled, "sha256": _digest(packed, spelled)}
    write_bytes(folder / name, save(packed, notes))


def read_checkpoint(folder: Path, name: str = LATEST) -> Checkpoint | None:
    """The checkpoint in `folder`; None where no run was begun there."""
    file = folder / name
    if not file.exists():
        return None
    try:
        with safe_open(file, "pt") as opened:
            notes = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        record = json.loads(notes["record"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise Damaged(f"{file} cannot be read: {error}; {REMEDY}") from None
    digest = _digest(tensors, notes["record"])
    if notes.get("sha256", digest) != digest:
        raise Damaged(f"{file} has changed since it was written; {REMEDY}")
    return Checkpoint(file, tensors, record)


def refuse_other(record: dict[str, Any], begun_as: dict[str, Any]) -> None:
    """A run continues only as what it was begun; BadInput names what differs."""
    then, now = record["settings"], begun_as["settings"]
    changed = [f"{k} was {then.get(k)}, now {v}" for k, v in now.items() if then.get(k) != v]
    contents = begun_as["contents"]
    if not changed and record.get("contents", contents) != contents:
        changed = ["the tasks of its sources have changed"]
    if not changed and record.get("begun_from") != begun_as.get("begun_from"):
        changed = ["the weights in --start_from have changed"]
    if changed:
        raise BadInput(
            f"the run began with other settings ({'; '.join(changed)}); use them, or another"
            " --out_dir"
        )


def _digest(tensors: dict[str, torch.Tensor], record: str) -> str:
    digest = hashlib.sha256(record.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _fill(optimizer: torch.optim.Optimizer, prefix: str, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            index, key = name.removeprefix(prefix).split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
