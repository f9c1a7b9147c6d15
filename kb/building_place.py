"""Guards the place of a knowledge base: one builder at a time, nothing else is overwritten, and a
base that a killed builder had moved aside is put back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from hone.errors import BadInput, NotThere
from kb.manifest import is_knowledge_base


@contextlib.contextmanager
def only_builder(save_dir: Path) -> Iterator[None]:
    """Holds the lock file beside `save_dir`, and first restores what a killed builder moved aside;
    refuses where another builder holds the lock."""
    save_dir.parent.mkdir(parents=True, exist_ok=True)
    path = save_dir.with_name(f".{save_dir.name}.lock")
    handle = _locked(path)
    if handle is None:
        raise BadInput(f"{save_dir} is being built by another process; wait for it, or stop it")
    try:
        _put_right(save_dir)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def check_free(save_dir: Path, *, overwrite: bool) -> None:
    """Refuses a place that is taken. Only a knowledge base is ever replaced, with `overwrite`."""
    if save_dir.is_dir() and is_knowledge_base(save_dir):
        if not overwrite:
            raise BadInput(
                f"{save_dir} is a knowledge base already; add to it with --append, or replace it"
                " with --overwrite"
            )
    elif save_dir.is_dir() and any(save_dir.iterdir()):
        raise BadInput(f"{save_dir} holds other things than a knowledge base; choose another")
    elif save_dir.exists() and not save_dir.is_dir():
        raise BadInput(f"{save_dir} is a file; choose a folder")


def check_there(save_dir: Path) -> None:
    """Refuses a place without a knowledge base to change."""
    if not is_knowledge_base(save_dir):
        raise NotThere(f"no knowledge base at {save_dir} to change; build it without --append")


def _put_right(save_dir: Path) -> None:
    """Undoes a kill between the two renames of hone.files.put_in_place, which leaves the old base
    beside its place: moves it back, or deletes it where the new base is already there."""
    for old in sorted(save_dir.parent.glob(f".{save_dir.name}.old-*")):
        if save_dir.exists():
            shutil.rmtree(old)
        else:
            old.rename(save_dir)


def _locked(path: Path) -> int | None:
    """A file handle that holds the lock; None where another process holds it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except FileNotFoundError:
            pass
        os.close(handle)  # the last holder removed this file: lock the one that is there now
