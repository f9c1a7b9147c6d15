"""Runs a program in a sandbox within limits, and says how it ended.

    sandbox = open_sandbox("auto", Limits(seconds=10))
    sandbox.run("assert 1 + 1 == 2").passed

The program runs in the same Python process as the tests appended to it, so a program that tries to
deceive them can. The sandbox ensures that it can do nothing else.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from eval.sandbox.walls import KINDS, NoWalls, Walls
from hone.errors import BadInput

MB = 1 << 20
_PIECE = 1 << 16
_TAIL = 300  # last characters of the output, kept if a program ended without a report
_TO_BEGIN = 60.0  # seconds to set up the walls and start Python
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    # else numpy starts a thread per core, and threads count as processes
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Limits:
    seconds: float = 10.0  # limit on elapsed time, and on processor time
    memory_mb: int = 1024  # for each process
    processes: int = 16
    files_mb: int = 16  # for all of /tmp
    output_kb: int = 256

    def by_name(self) -> dict[str, int]:
        """The limits by the names of `resource`."""
        return {
            "RLIMIT_AS": self.memory_mb * MB,
            "RLIMIT_NPROC": self.processes,
            "RLIMIT_FSIZE": self.files_mb * MB,
            "RLIMIT_CPU": int(self.seconds) + 1,
            "RLIMIT_NOFILE": 64,
            "RLIMIT_CORE": 0,
        }


USUAL = Limits()


@dataclass(frozen=True)
class Outcome:
    """How a program ended, and the reason if it did not pass."""

    ending: str  # passed, failed, killed, timed out, too much output
    reason: str = ""

    @property
    def passed(self) -> bool:
        return self.ending == "passed"


class NeverBegan(BadInput):
    """The walls could not be set up, which says nothing about the program."""


@dataclass(frozen=True)
class Sandbox:
    walls: Walls
    limits: Limits = USUAL

    def run(self, program: str) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="hone-cell-") as folder:
            given, place = Path(folder) / "given.json", Path(folder) / "root"
            given.write_text(json.dumps({"program": program, "limits": self.limits.by_name()}))
            place.mkdir()
            ours, theirs = os.pipe()
            with open(ours, "rb", buffering=0) as pipe:
                try:
                    process = self._start(given, place, theirs)
                finally:
                    os.close(theirs)
                try:
                    return _watched(process, pipe.fileno(), self.limits)
                finally:
                    _end(process)

    def _start(self, given: Path, place: Path, pipe: int) -> subprocess.Popen[bytes]:
        inside = Path(__file__).with_name("inside.py").read_text()
        python = [sys.executable, "-I", "-c", inside, str(pipe)]
        first, *words = self.walls.around(python, place, self.limits.files_mb * MB)
        with given.open("rb") as stdin:
            return subprocess.Popen(
                [shutil.which(first) or first, *words],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=place,
                env=_ENVIRONMENT,
                pass_fds=[pipe],
                start_new_session=True,
            )


def open_sandbox(kind: str, limits: Limits = USUAL) -> Sandbox:
    """A sandbox with walls of this kind, or with `auto`, of the first kind that works here. Raises
    BadInput if none does."""
    if kind == NoWalls.name:
        return Sandbox(NoWalls(), limits)
    faults = []
    for walls in KINDS:
        if kind in ("auto", walls.name):
            if not (fault := _fault(walls)):
                return Sandbox(walls, limits)
            faults.append(f"{walls.name}: {fault}")
    raise BadInput(
        f"no sandbox works here ({'; '.join(faults)}); install bubblewrap or allow user namespaces;"
        " where there is nothing to lose, --sandbox none runs the code within limits alone"
    )


def _fault(walls: Walls) -> str:
    """The reason why these walls do not work here; empty if they do."""
    if shutil.which(walls.name) is None:
        return "not installed"
    try:
        outcome = Sandbox(walls).run("pass")
    except NeverBegan as error:
        return str(error)
    return "" if outcome.passed else f"{outcome.ending} {outcome.reason}"


def _watched(process: subprocess.Popen[bytes], pipe: int, limits: Limits) -> Outcome:
    """Waits for the program's end. The report on the pipe decides; the output is only counted."""
    assert process.stdout is not None
    output = process.stdout.fileno()
    said = {pipe: b"", output: b""}
    deadline = time.monotonic() + _TO_BEGIN
    with selectors.DefaultSelector() as ready:
        for source in said:
            ready.register(source, selectors.EVENT_READ)
        while said[pipe].count(b"\n") < 2:
            begun = bool(said[pipe])
            if not _hear(ready, said, deadline):
                return _silent("timed out", said[pipe], said[output])
            if pipe not in ready.get_map():
                return _silent("killed", said[pipe], said[output] + _rest(output))
            if len(said[output]) > limits.output_kb << 10:
                return Outcome("too much output")
            if said[pipe] and not begun:
                deadline = time.monotonic() + limits.seconds
    told = said[pipe].decode(errors="replace").splitlines()[1]
    return Outcome("passed") if told == "passed" else Outcome("failed", told)


def _hear(ready: selectors.BaseSelector, said: dict[int, bytes], deadline: float) -> bool:
    """Reads what comes next and adds it to `said`; False if nothing came by the deadline."""
    events = ready.select(max(0.0, deadline - time.monotonic()))
    for key, _ in events:
        piece = os.read(key.fd, _PIECE)
        said[key.fd] += piece
        if not piece:
            ready.unregister(key.fd)
    return bool(events)


def _rest(output: int) -> bytes:
    """Output that was written before the end and has not been read."""
    os.set_blocking(output, False)
    try:
        return os.read(output, _PIECE)
    except BlockingIOError:  # no output, and another process still has the pipe open
        return b""


def _silent(ending: str, told: bytes, written: bytes) -> Outcome:
    """The outcome of a program that ended, or was ended, without a report."""
    last = " ".join(written.decode(errors="replace").split())[-_TAIL:]
    if not told:
        raise NeverBegan(f"the sandbox did not come up: {last or ending}")
    return Outcome(ending, last)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kills the whole session; a process that left it dies with its namespace's first process."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
