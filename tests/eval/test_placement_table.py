"""The table of placements: its numbers on rows made by hand, and a tiny run that goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_bases import small_task, write_tasks

from arc.scoring import mcnemar, wilson
from eval.placement import main, summarize, table
from hone.errors import BadInput

torch.set_num_threads(1)


def row(solved: bool | None, train: float | None = 1.0) -> dict[str, Any]:
    seconds = {"generate": 0.5} | ({} if train is None else {"train": train})
    return {"solved": solved, "leaked": {}, "trace": {"seconds": seconds}}


def test_rates_and_seconds_are_those_of_the_rows() -> None:
    first = [row(True), row(True), row(True), row(False), row(None)]
    rows = [row(True, 3.0), row(False), row(False), row(False, None), row(None)]
    found = summarize(rows, first)
    assert (found["tasks"], found["unknown"], found["solved"]) == (5, 1, 1)
    assert found["ci95"] == [round(end, 4) for end in wilson(1, 4)]
    assert found["p_mcnemar"] == mcnemar([True, False, False, False], [True, True, True, False])
    assert (found["training_s"], found["generating_s"]) == (6 / 5, 0.5)
    assert (found["won"], found["lost"], found["difference"]) == (0, 2, -0.5)
    line = table([{"adapter_layers": "top:2", "values": 12345, **found}]).splitlines()[-1]
    assert line.startswith("| top:2 | 12,345 | 1 of 4 |") and line.endswith("| 1.20 | 0.50 |")


def test_every_placement_is_run_once_and_told_in_the_last_line(
    canvas_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [small_task(f"t{c}", c) for c in (1, 2)]
    flags = {
        **{"data_dir": write_tasks(tmp_path / "data", tasks), "model_path": canvas_base},
        **{"out_dir": tmp_path / "out", "k": 2, "steps": 3, "batch_size": 2, "lora_rank": 4},
        **{"num_pseudo": 3, "num_ttt_samples": 0, "views": 1, "preset": "ct3"},
    }
    argv = [*(f"--{name}={value}" for name, value in flags.items()), "--placements"]
    told = []
    for placements in (["all", "head"], ["all", "top:1", "head"]):
        assert main([*argv, *placements]) == 0
        *lines, last = capsys.readouterr().out.splitlines()
        measured = json.loads(last)
        assert [r["adapter_layers"] for r in measured["rows"]] == placements
        assert len(lines) == 2 + len(placements)
        assert json.loads((tmp_path / "out" / "placement.json").read_text()) == measured
        assert len(list((tmp_path / "out" / "tasks").iterdir())) == 2 * len(placements)
        told.append(measured)
    assert (told[0]["bench"], told[0]["num_pseudo"]) == ("placement", 3)
    once, again = ([r for r in t["rows"] if r["adapter_layers"] != "top:1"] for t in told)
    assert once == again  # the seconds too: nothing was trained again
    values = {r["adapter_layers"]: r["values"] for r in told[1]["rows"]}
    assert values["all"] == 2 * values["top:1"] and values["head"] == 4 * 2 * 32


def test_what_cannot_be_compared_is_said_before_anything_is_trained(
    canvas_base: Path, tmp_path: Path
) -> None:
    data = write_tasks(tmp_path / "data", [small_task("t1", 1)])
    argv = ["--data_dir", str(data), "--model_path", str(canvas_base), "--num_ttt_samples", "0"]
    argv += ["--out_dir", str(tmp_path / "out")]
    with pytest.raises(BadInput, match="no --data_dir; name a folder of ARC tasks"):
        main([])
    with pytest.raises(BadInput, match="leave --local_adapter_managing out"):
        main([*argv, "--local_adapter_managing"])
    with pytest.raises(BadInput, match="top:9, but the base has 2 layers"):
        main([*argv, "--placements", "all", "top:9"])
    assert not (tmp_path / "out").exists()
