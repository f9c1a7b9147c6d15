"""Shell scripts parse, stop at the first fault, and hand on what the user set."""

from __future__ import annotations

import os
import subprocess

import pytest

from hone.settings import flags_of


@pytest.fixture
def run_qwen(root, tmp_path):
    """The script with `echo` for a Python: it prints the command it would run."""

    def run_it(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        places = {"PYTHON": "echo", "MODEL_DIR": str(tmp_path), "DATA_DIR": str(tmp_path)}
        return subprocess.run(
            ["bash", "scripts/run_qwen_multi_lora.sh", *words],
            cwd=root,
            env=os.environ | places | environment,
            capture_output=True,
            text=True,
        )

    return run_it


def test_shell_scripts_parse_and_stop_at_the_first_fault(files, run):
    scripts = [p for p in files if p.read_bytes().startswith(b"#!/usr/bin/env bash")]
    assert len(scripts) >= 6
    for script in scripts:
        assert run("bash", "-n", script).returncode == 0
        assert "set -euo pipefail" in script.read_text(), script


def test_the_seeds_run_is_spelled_with_its_numbers(run_qwen, tmp_path):
    said = run_qwen("--seed", "3").stdout.split()
    assert said[:3] == ["client/ttt_multi_lora.py", "--model_dir", str(tmp_path)]
    assert " ".join(said[5:11]) == "--k 2 --steps 10 --num_pseudo 20"
    assert said[-2:] == ["--seed", "3"]


def test_every_number_can_be_set(run_qwen):
    said = run_qwen(K="4", STEPS="50", NUM_PSEUDO="8", OUT_DIR="results/mine").stdout
    assert "--k 4 --steps 50 --num_pseudo 8 --out_dir results/mine" in said


@pytest.mark.parametrize("place", ["MODEL_DIR", "DATA_DIR"])
def test_a_missing_folder_is_one_line_with_the_remedy(run_qwen, place):
    done = run_qwen(**{place: "no/such/folder"})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no/such/folder" in done.stderr


def test_the_run_gives_flags_that_the_command_has(run_qwen, write_flags):
    commands = {command.file.name: command for command in write_flags.commands()}
    if "ttt_multi_lora.py" not in commands:
        pytest.skip("client/ttt_multi_lora.py is not written yet")
    settings = commands["ttt_multi_lora.py"].settings
    given = {word for word in run_qwen().stdout.split() if word.startswith("--")}
    assert given <= set(flags_of(settings))
