"""A whole run in a process of its own, with a limit on memory that is small enough to bite."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_bases import write_tasks
from transformers import LlamaConfig, LlamaForCausalLM

from arc.task import Task, task_from_json

ROOT = Path(__file__).resolve().parent.parent.parent
FLAGS = {
    **{"k": 4, "steps": 2, "batch_size": 2, "num_pseudo": 4, "views": 1, "num_ttt_samples": 0},
    **{"lora_rank": 4, "learning_rate": 1e-3, "dtype": "fp32", "threads": 1},
}
# the peak is read where the kernel keeps it, not where the run says it
COMMAND = """
import sys
from client.ttt_multi_lora import main
from hone.errors import run_command
try:
    run_command(main)
finally:
    status = open("/proc/self/status").read()
    print(int(status.partition("VmHWM:")[2].split()[0]) >> 10)
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this system does not tell a process's peak"
)


@dataclass(frozen=True)
class Run:
    code: int
    peak_mb: int
    said: str
    results: dict[str, Any]

    @property
    def attempts(self) -> list[Any]:
        return [row["attempts"] for row in self.results["tasks"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that is narrow and deep, so that steps hold much and compute little, and tasks."""
    folder = tmp_path_factory.mktemp("memory")
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=64,
        intermediate_size=176,
        num_hidden_layers=24,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    model.get_output_embeddings().weight.data.mul_(40)
    model.save_pretrained(folder / "base")
    form = {"format": "canvas", "max_tokens": 2000}
    (folder / "base" / "arc_format.json").write_text(json.dumps(form))
    write_tasks(folder / "data", [large_task(f"t{c}", c) for c in range(1, 5)])
    return folder


def large_task(name: str, colour: int) -> Task:
    """Large grids that become one cell: much to read, little to write."""
    rng = np.random.default_rng(colour)

    def pair() -> dict[str, Any]:
        return {"input": rng.integers(0, 9, (12, 12)).tolist(), "output": [[colour]]}

    return task_from_json({"train": [pair(), pair(), pair()], "test": [pair()]}, name, name)


def run(folder: Path, name: str, limit_mb: int) -> Run:
    flags = {**FLAGS, "model_path": folder / "base", "data_dir": folder / "data"}
    flags |= {"out_dir": folder / name, "memory_limit_mb": limit_mb}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *(f"--{flag}={value}" for flag, value in flags.items())],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    file = folder / name / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    return Run(done.returncode, int(done.stdout.split()[-1]), done.stderr, results)


def test_a_run_stays_below_a_limit_that_it_would_exceed_and_answers_the_same(folder: Path) -> None:
    free = run(folder, "free", 0)
    limit = free.peak_mb - 230  # of the 380 or so that its steps hold
    held = run(folder, "held", limit)
    assert free.code == held.code == 0
    assert held.peak_mb < limit < free.peak_mb
    assert held.attempts == free.attempts
    used, unused = held.results["memory"], free.results["memory"]
    assert used["limit_mb"] == limit and abs(used["peak_mb"] - held.peak_mb) <= 2
    assert 0 < used["token_budget"] < FLAGS["k"] * 2 * 500 and unused["token_budget"] == 0
    assert f"to fit into --memory_limit_mb {limit}: {used['token_budget']} tokens" in held.said
    assert not unused["notes"]
    layout = held.results["tasks"][0]["trace"]["layout"]
    assert layout == {name: used[name] for name in ("k", "token_budget", "checkpointing")}


def test_a_limit_that_nothing_fits_into_is_refused_in_one_line(folder: Path) -> None:
    refused = run(folder, "refused", 100)
    assert refused.code == 2 and not refused.results
    assert "memory_limit_mb 100 is too little" in refused.said.splitlines()[-1]
    assert "Traceback" not in refused.said
