"""The demo's other processes: the server, and commands of the project as a user would run them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from hone.errors import HoneError, Unreachable

ROOT = Path(__file__).parent.parent
STOP_SECONDS = 20  # time for the server to complete its requests


@contextlib.contextmanager
def serving(knowledge_base: Path) -> Iterator[str]:
    """Runs the server in a process of its own, on a free port, and stops it in any case."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped too
    words = ("server/server.py", "--knowledge_base_path", str(knowledge_base), "--port", "0")
    with subprocess.Popen(
        command(*words), env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _address(process)
        finally:
            _stop(process)
            say("stopped the server")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()  # printed when it answers
    if not line:
        raise Unreachable("the server did not start; its own message is above")
    say(line)
    return line.rsplit(" ", 1)[1]


def run(*words: str) -> str:
    """Runs a command of the project as a user would, and returns its output."""
    done = subprocess.run(
        command(*words), env=environment(), stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise HoneError(f"{words[0]} failed with exit code {done.returncode}; see above")
    return done.stdout


def command(script: str, *words: str) -> list[str]:
    return [sys.executable, str(ROOT / script), *words]


def environment() -> dict[str, str]:
    """The environment without Hone's variables, so that only the demo's settings apply."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HONE_")}


def say(line: str) -> None:
    print(line, flush=True)
