"""A million records of 384 numbers, served by the real command: within 2.5 GB, ready in seconds."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from kb_stores import Block, write_base

from kb.keeping import Keeping
from kb.records import Record
from kb.vector_file import Vectors

ROOT = Path(__file__).resolve().parent.parent.parent
RECORDS, DIMENSION, AT_ONCE = 1_000_000, 384, 50_000


def _vectors(start: int) -> Vectors:
    drawn = np.random.default_rng(start).normal(size=(AT_ONCE, DIMENSION)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def _blocks() -> Iterator[Block]:
    words = "a question of some length, as they come in sets of problems " * 8
    for start in range(0, RECORDS, AT_ONCE):
        rows = range(start, start + AT_ONCE)
        yield [Record("made", "text", f"{row} {words}", str(row)) for row in rows], _vectors(start)


def _most_memory(process: int) -> float:
    """GB that it held at once, mapped files among them."""
    said = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", said)[0]) / 1e6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("index", ["flat", "ivf"])
def test_a_million_records(tmp_path: Path, index: str) -> None:
    folder = write_base(tmp_path / "kb", _blocks(), Keeping(index))  # type: ignore[arg-type]
    command = [sys.executable, "server/server.py", "--port", "0", "--knowledge_base_path"]
    began = time.monotonic()
    server = subprocess.Popen([*command, folder], cwd=ROOT, text=True, stdout=subprocess.PIPE)
    with server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        assert time.monotonic() - began < 5
        for start in range(0, RECORDS, RECORDS // 10):
            for method in ("faiss", "sift"):
                asked = {"vectors": _vectors(start)[:8].tolist(), "k": 32, "method": method}
                answer = httpx.post(f"{url}/v1/search", json=asked, timeout=120, trust_env=False)
                found = [hits[0]["id"] for hits in answer.json()["hits"]]
                assert found == list(range(start, start + 8))
        assert _most_memory(server.pid) < 2.5
        server.terminate()
