"""Every way out of a command: its exit code and what stands on stderr."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hone.errors import BadInput, Damaged, HoneError, NotThere, Unreachable


def run(body: str, stdout: str = os.devnull) -> subprocess.CompletedProcess[str]:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    code = f"from hone.errors import *\ndef main():\n{lines}\nrun_command(main)"
    command = [sys.executable, "-c", code]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open(stdout, "w") as file:
        return subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True, env=env)


@pytest.mark.parametrize(
    ("body", "code", "stderr"),
    [
        ("return 0", 0, ""),
        ("return None", 0, ""),
        ("return 3", 3, ""),
        ("raise BadInput('one is\\n  wrong')", 2, "error: one is wrong\n"),
        ("raise NotThere('no file x')", 2, "error: no file x\n"),
        ("raise Unreachable('no server')", 2, "error: no server\n"),
        ("raise KeyboardInterrupt", 130, "\ninterrupted\n"),
        ("raise KeyboardInterrupt('interrupted: go on')", 130, "\ninterrupted: go on\n"),
        ("raise BrokenPipeError", 0, ""),
        (
            "open('/', 'w')",
            2,
            "error: cannot use /: Is a directory; check the path and its permissions\n",
        ),
    ],
)
def test_exit_codes(body: str, code: int, stderr: str) -> None:
    done = run(body)
    assert (done.returncode, done.stderr) == (code, stderr)


def test_our_own_faults_keep_their_traceback() -> None:
    for body in ("raise ValueError('bug')", "raise OSError('bug')", "raise PermissionError('bug')"):
        done = run(body)
        assert done.returncode == 1
        assert "Traceback" in done.stderr and "bug" in done.stderr


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


@needs_full
@pytest.mark.parametrize("body", ["print('x')", "print('x'); return 0", "print('x' * 100_000)"])
def test_a_full_disk_is_one_line(body: str) -> None:
    done = run(body, stdout="/dev/full")
    assert done.returncode == 2
    assert done.stderr == (
        "error: cannot write to the output: No space left on device; free some space or choose"
        " another folder; nothing half-written was kept\n"
    )


@needs_full
def test_bad_input_with_a_full_disk_is_still_one_line() -> None:
    done = run("print('x')\nraise BadInput('wrong')", stdout="/dev/full")
    assert (done.returncode, done.stderr) == (2, "error: wrong\n")


@pytest.mark.parametrize(
    "raised", ["MemoryError()", "type('OutOfMemoryError', (RuntimeError,), {})"]
)
def test_a_memory_that_runs_out_is_one_line(raised: str) -> None:
    done = run(f"raise {raised}")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert (
        done.stderr.startswith("error: the memory ran out") and "--memory_limit_mb" in done.stderr
    )
    assert "Traceback" in run("raise RuntimeError('OutOfMemoryError')").stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    main = "def main():\n for i in range(10**6): print(i)"
    code = f"from hone.errors import run_command\n{main}\nrun_command(main)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, -signal.SIGPIPE)


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (BadInput, ValueError),
        (NotThere, FileNotFoundError),
        (Damaged, ValueError),
        (Unreachable, ConnectionError),
    ],
)
def test_every_kind_is_a_standard_error_too(kind: type[HoneError], base: type[Exception]) -> None:
    assert issubclass(kind, base) and issubclass(kind, HoneError)
    assert str(kind("what, and what to do")) == "what, and what to do"
