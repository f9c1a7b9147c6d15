"""A task goes the whole way by the strategy's file, from every door: Python, commands, script."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tiny_bases import small_task, write_tasks

from arc.readers import read_task
from arc.task import task_to_json
from client.answer import Answer
from client.api import open_solver
from client.client import main as ask
from client.strategy import KEYS
from models.memory.allocator import keep_for_the_next_step

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parent.parent
STRATEGY = ROOT / "configs" / "strategies" / "ttt.yaml"
QUICK = {"platform": "cpu", "lora_rank": 8, "num_pseudo": 8, "learning_rate": 1e-2}


@pytest.fixture
def validation() -> ModuleType:
    place = ROOT / "scripts" / "test_ttt_implementation.py"
    spec = importlib.util.spec_from_file_location("validation", place)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["validation"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def solved(canvas_base: Path) -> Answer:
    base = str(canvas_base)
    with open_solver(config=STRATEGY, model_path=base, num_epochs=6, **QUICK) as solver:
        return solver.solve(small_task("t", 3))


def test_a_task_is_trained_on_and_voted_on_as_the_strategy_says(solved: Answer) -> None:
    seat = solved.metadata["seat"]
    assert solved.metadata["decision"] == "train" and seat["left"] == "steps"
    assert len(solved.metadata["losses"]) == 6 * 8 // 2  # epochs, items, two a batch
    assert solved.metadata["losses"][-1] < solved.metadata["losses"][0]
    (written,) = solved.metadata["views"]
    assert len(written) == 8 and len({one["view"] for one in written}) == 8
    assert solved.solved is True and solved.predictions == [[[3]]]
    shares = [one["grid"] == "3" for one in written]
    assert solved.confidence == pytest.approx(sum(shares) / 8)


def test_the_command_line_says_the_same(
    solved: Answer, canvas_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = write_tasks(tmp_path / "tasks", [small_task("t", 3)])
    flags = QUICK | {"config": STRATEGY, "model_path": canvas_base, "num_epochs": 6}
    argv = [f"--{name}={value}" for name, value in flags.items()]
    where = ["--task", str(tasks / "t.json"), "--trace_dir", str(tmp_path / "traces")]
    assert ask([*argv, *where, "--ttt", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    again = {name: told[name] for name in ("id", "solved", "predictions", "confidence", "attempts")}
    assert again == {name: solved.as_json()[name] for name in again}


def test_the_quick_validation_passes(
    validation: ModuleType, canvas_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = write_tasks(tmp_path, [small_task("t", 3)])
    argv = ["--task", str(tasks / "t.json"), "--model_path", str(canvas_base)]
    assert validation.main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    names = ["data", "votes", "configuration", "memory", "training", "test-time"]
    assert [line.split()[0] for line in lines] == names
    assert f"{len(KEYS)} keys of ttt.yaml" in lines[2] and "% sure" in lines[4]


def test_memory_is_seen_to_grow_where_the_heap_has_room_kept(validation: ModuleType) -> None:
    """What 80 blocks of 2 MB left there would hold a tensor of 64 MB without a new page."""
    keep_for_the_next_step()
    del [torch.ones(1 << 19) for _ in range(80)][:]
    assert re.fullmatch(r"64 MB more are seen as 6\d MB", validation.memory())


def test_the_quick_validation_says_what_fails(
    validation: ModuleType, canvas_base: Path, tmp_path: Path
) -> None:
    """A task of one demo has nothing to be trained on."""
    content = task_to_json(small_task("t", 3))
    content["train"] = content["train"][:1]
    (tmp_path / "t.json").write_text(json.dumps(content))
    settings = validation.ValidationSettings(
        task=tmp_path / "t.json", model_path=str(canvas_base), steps=2
    )
    with pytest.raises(validation.Fails, match=r"ended as .nothing to train on."):
        validation.training(read_task(settings.task), settings)
