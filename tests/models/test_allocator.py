"""Choices for a whole process: what becomes of freed memory, how threads wait, a cache's name."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from models.decoding.cache_argument import cache_argument

FAULTS = """
import resource, sys
import numpy as np
from models.memory import allocator

getattr(allocator, sys.argv[1])()
for turn in range(30):
    held = [np.ones(1 << 19) for _ in range(4)]
    del held
    if turn == 9:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
WAITS = """
import os, models
print([os.environ.get(name) for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")])
"""


def said(*words: str, **variables: str) -> str:
    kept = {n: v for n, v in os.environ.items() if n not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    done = subprocess.run(
        [sys.executable, "-c", *words],
        env=kept | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_stays_for_the_next_step_or_goes_at_once() -> None:
    """16 MB a turn, 20 turns: 4,096 pages each."""
    assert int(said(FAULTS, "keep_for_the_next_step")) < 1_000
    assert int(said(FAULTS, "give_back_at_once")) > 20_000


def test_threads_wait_a_moment_awake_unless_the_user_said_how() -> None:
    assert said(WAITS) == "['PASSIVE', '1000']"
    assert said(WAITS, GOMP_SPINCOUNT="7") == "['PASSIVE', '7']"
    assert said(WAITS, OMP_WAIT_POLICY="ACTIVE") == "['ACTIVE', None]"


def test_a_forward_gets_its_cache_by_the_name_that_it_has() -> None:
    class Before:
        def forward(self, input_ids: object, past_key_values: object = None) -> None: ...

    class Since:
        def forward(self, input_ids: object, cache: object = None) -> None: ...

    assert cache_argument(Before(), 1) == {"past_key_values": 1}
    assert cache_argument(Since(), 1) == {"cache": 1}
