"""A tiny tuning: resumed after a kill it goes on, and test outputs change nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tiny_bases import small_task, write_tasks

from client.settings import Settings
from eval.tune_ttt import main
from hone.errors import BadInput
from hone.settings import read_settings

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parent.parent.parent
QUICK = {
    **{"preset": "ct3", "k": 4, "batch_size": 2, "views": 1, "num_ttt_samples": 0, "lora_rank": 4},
    **{"num_pseudo": 4, "num_epochs": 1, "learning_rate": 1e-2},
}
TRIED = {"ranks": 4, "items": 4, "epochs": 1, "first_questions": 2, "most_questions": 6}


def flags(data: Path, base: Path, out: Path) -> list[str]:
    own = QUICK | TRIED | {"data_dir": data, "model_path": base, "out_dir": out}
    rates = ["--learning_rates", "1e-2", "1e-4", "3e-2"]
    return [*(f"--{name}={value}" for name, value in own.items()), *rates]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_tasks(tmp_path / "data", [small_task(f"t{c}", c) for c in (1, 2)])


def results(out: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((out / "results.json").read_text())
    for one in told["judged"]:
        one.pop("seconds")
    return told


def test_the_best_is_told_and_written(
    data: Path, canvas_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(flags(data, canvas_base, out)) == 0
    plan, *lines = capsys.readouterr().out.splitlines()
    assert plan == "3 on 2 questions; 1 on 6 questions"
    told = json.loads(lines[-1])["tune"]
    assert told["best"]["questions"] == told["given"]["questions"] == 6
    assert told["given"]["candidate"] == 0 and told["best"]["solved"] >= told["given"]["solved"]
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 3 and sum("as given" in line for line in table) == 1
    settings = read_settings(
        Settings, ["--config", str(out / "best.yaml")], env_prefix="HONE_X_", environ={}
    )
    assert settings.learning_rate == told["best"]["learning_rate"] and settings.preset == "ct3"
    assert yaml.safe_load((out / "best.yaml").read_text())["steps"] == 0
    assert (out / "table.csv").read_text().count("\n") == 1 + len(results(out)["judged"])
    assert "<svg" in (out / "tune.svg").read_text()


def test_test_outputs_change_nothing(
    data: Path, canvas_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_tasks(
        tmp_path / "other", [small_task(f"t{c}", c).without_answers() for c in (1, 2)]
    )
    found = []
    for i, folder in enumerate((data, other)):
        main(flags(folder, canvas_base, tmp_path / f"out{i}"))
        found.append(results(tmp_path / f"out{i}")["judged"])
    assert found[0] == found[1]


def test_a_killed_run_goes_on(
    data: Path, canvas_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    command = [sys.executable, str(ROOT / "eval" / "tune_ttt.py")]
    with subprocess.Popen(
        [*command, *flags(data, canvas_base, out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as run:
        while not list(out.glob("tasks/*.json")) and run.poll() is None:
            time.sleep(0.01)
        os.kill(run.pid, signal.SIGKILL)
    done = {file: file.stat().st_mtime_ns for file in out.glob("tasks/*.json")}
    assert done and not (out / "results.json").exists()
    main(flags(data, canvas_base, out))
    main(flags(data, canvas_base, whole))
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in done.items())
    assert results(out)["judged"] == results(whole)["judged"]


def test_what_cannot_be_tuned_is_said(canvas_base: Path, tmp_path: Path) -> None:
    few = write_tasks(tmp_path / "few", [small_task("t", demos=2)])
    with pytest.raises(BadInput, match="no --data_dir; name a folder of ARC tasks"):
        main([])
    with pytest.raises(BadInput, match="few has 3 demos, one to hold out and two to learn from"):
        main(flags(few, canvas_base, tmp_path / "out"))
    with pytest.raises(BadInput, match="leave --local_adapter_managing out"):
        main(["--data_dir", str(few), "--local_adapter_managing"])
    with pytest.raises(BadInput, match="--keep is 1, at least 2 was expected"):
        main(["--keep", "1"])
    with pytest.raises(BadInput, match=r"--learning_rates is 0\.0, more than 0 was expected"):
        main(["--learning_rates", "1e-3", "0"])
    assert not (tmp_path / "out").exists()
