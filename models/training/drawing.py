"""Draws batches: in this process when they are needed, or ahead in processes of their own.

Batch i is the same whichever process draws it. A drawing process reads the number of a batch as a
line of its input and answers with the arrays of its episodes. It ends when its input does, so a
killed run leaves no process behind.
"""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import IO

import numpy as np

from arc.formats import Encoded
from hone.errors import HoneError, Unreachable
from hone.settings import as_plain
from models.training.material import Material, open_material
from models.training.settings import TrainBaseSettings

ROOT = Path(__file__).parent.parent.parent
ASKED_AHEAD = 2  # batches that each process is asked for ahead
MOST = 8  # processes that `auto` starts at most
Batches = Callable[[int], list[Encoded]]


@contextmanager
def open_batches(
    settings: TrainBaseSettings, material: Material, first: int, device: str
) -> Iterator[Batches]:
    """Batches by their number, which must be asked for in order, from `first` on."""
    many = _drawers(settings, device)
    if not many:
        yield lambda number: numbered(settings, material, number)
        return
    drawers = [_Drawer(settings) for _ in range(many)]
    try:
        yield _in_turn(drawers, first)
    finally:
        for drawer in drawers:
            drawer.close()


def _drawers(settings: TrainBaseSettings, device: str) -> int:
    if settings.drawers != "auto":
        return settings.drawers
    return 0 if device == "cpu" else min(MOST, (os.cpu_count() or 2) // 2)


def numbered(settings: TrainBaseSettings, material: Material, number: int) -> list[Encoded]:
    return material.batch(f"{settings.seed}:{number}", settings.batch_tokens)


def _in_turn(drawers: Sequence[_Drawer], first: int) -> Batches:
    many = len(drawers)
    for number in range(first, first + ASKED_AHEAD * many):
        drawers[number % many].ask(number)

    def batch(number: int) -> list[Encoded]:
        drawer = drawers[number % many]
        rows = drawer.answer()
        drawer.ask(number + ASKED_AHEAD * many)
        return rows

    return batch


class _Drawer:
    """A process that draws batches."""

    def __init__(self, settings: TrainBaseSettings) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from models.training.drawing import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,  # Ctrl-C is for the run, which then ends this process
        )
        self._say(json.dumps(as_plain(settings)))

    def ask(self, number: int) -> None:
        self._say(str(number))

    def answer(self) -> list[Encoded]:
        assert self.process.stdout is not None
        rows = _read(self.process.stdout)
        if rows is None:
            raise _ended()
        return rows

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # of a request that was not sent yet
                pipe.close()

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise _ended() from None


def _ended() -> HoneError:
    return Unreachable("a process that draws episodes has ended; use none, with --drawers 0")


def serve() -> None:
    """The drawing process: reads the settings, then numbers of batches until its input ends."""
    answers = sys.stdout.buffer
    settings = TrainBaseSettings(**json.loads(sys.stdin.readline()))
    # the run itself has printed the same messages
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        material = open_material(settings)
    for line in sys.stdin:
        _write(answers, numbered(settings, material, int(line)))


def _write(pipe: IO[bytes], rows: Sequence[Encoded]) -> None:
    ends = np.cumsum([len(row) for row in rows])
    parts = [np.concatenate([getattr(row, name) for row in rows]) for name in _PARTS]
    content = io.BytesIO()
    np.save(content, np.concatenate([[len(ends)], ends, *parts]))
    pipe.write(struct.pack("<Q", content.tell()) + content.getvalue())
    pipe.flush()


def _read(pipe: IO[bytes]) -> list[Encoded] | None:
    head = pipe.read(8)
    if len(head) < 8:
        return None
    content = np.load(io.BytesIO(pipe.read(struct.unpack("<Q", head)[0])))
    many = int(content[0])
    ends, parts = content[1 : many + 1], np.split(content[many + 1 :], 3)
    return [Encoded(*own) for own in zip(*(np.split(p, ends[:-1]) for p in parts), strict=True)]


_PARTS = ("ids", "positions", "labels")
