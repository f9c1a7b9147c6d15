"""The server as users start it: a process of its own, on a free port."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DIMENSION = 128  # of the ARC embedder


@dataclass
class Running:
    process: subprocess.Popen[str]
    url: str
    ready_line: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def log(self) -> str:
        """What it wrote on stderr, once it has ended."""
        return self.process.communicate()[1]


def start(*words: object, port: int = 0, environ: Mapping[str, str] | None = None) -> Running:
    command = [sys.executable, "server/server.py", "--port", port, *words]
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environ or {})},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, process.communicate()
    return Running(process, found.group(), line)


def vector(seed: int = 0, dimension: int = DIMENSION) -> list[float]:
    numbers: list[Any] = np.random.default_rng(seed).normal(size=dimension).tolist()
    return numbers
