"""What is counted as wasted, and a tiny run of the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_bases import small_task, write_tasks

from eval.queue_orders import main, spent
from hone.errors import BadInput

torch.set_num_threads(1)


def trace(job: int, slot: int, entered_at: int, step_tokens: list[int]) -> dict[str, Any]:
    seat = {"run": "a", "slots": 2, "width": 4, "job": job, "slot": slot}
    return {"seat": {**seat, "entered_at": entered_at, "step_tokens": step_tokens}}


def test_idle_slots_waste_what_their_neighbours_train() -> None:
    found = spent([trace(0, 0, 0, [10, 10]), trace(1, 1, 0, [4]), trace(2, 1, 1, [6, 6, 8])], 2.0)
    assert found["steps"] == 4 and found["tokens"] == 44 and found["tokens_per_s"] == 22
    assert (found["idle_slot_steps"], found["wasted_tokens"]) == (2, 14)
    assert found["wasted_share"] == pytest.approx(14 / 58)


def test_every_order_trains_the_same_tokens(
    canvas_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [small_task(f"t{n}", n, demos=2 + n % 3) for n in range(1, 6)]
    flags = {"data_dir": write_tasks(tmp_path / "data", tasks), "model_path": canvas_base, "k": 2}
    flags |= {"num_pseudo": 4, "num_ttt_samples": 0, "lora_rank": 4, "repeats": 1, "preset": "ct3"}
    assert main([f"--{name}={value}" for name, value in flags.items()]) == 0
    *rows, last = capsys.readouterr().out.splitlines()
    told = json.loads(last)
    assert told["bench"] == "queue_orders" and (told["tasks"], told["k"]) == (5, 2)
    assert [row["order"] for row in told["rows"]] == [row.split()[0] for row in rows]
    assert [row["order"] for row in told["rows"]] == ["arrival", "length", "palette", "family"]
    assert len({row["tokens"] for row in told["rows"]}) == 1
    assert all(row["seconds"] > 0 and 0 <= row["wasted_share"] < 1 for row in told["rows"])


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(BadInput, match="no --data_dir; name a folder of ARC tasks"):
        main([])
    with pytest.raises(BadInput, match="leave --local_adapter_managing out"):
        main(["--data_dir", ".", "--local_adapter_managing"])
    with pytest.raises(BadInput, match="--orders is 'size'; choose from arrival, length"):
        main(["--data_dir", ".", "--orders", "size"])
