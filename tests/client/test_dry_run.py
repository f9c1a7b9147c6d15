"""--dry_run shows what would be trained on, item by item, and trains nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from test_arc_solver import QUICK
from tiny_bases import RECORDS, small_task, write_tasks

from client.client import main
from client.training_queue import TrainingQueue

torch.set_num_threads(1)
QUERY = "what colour is the sky ?"


@pytest.fixture(autouse=True)
def nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is written."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a training began")

    monkeypatch.setattr(TrainingQueue, "__init__", refuse)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)


def shown(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    capsys.readouterr()
    assert main([str(word) for word in (*argv, "--dry_run")]) == 0
    assert not any(Path.cwd().iterdir())
    return capsys.readouterr().out


def test_a_text_shows_its_samples_as_the_model_sees_them(
    text_base: Path, text_kb: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("--query", QUERY, "--model_path", text_base, "--knowledge_base_path", text_kb)
    flags = ("--num_ttt_samples", 2, "--only_faiss", "--lora_rank", 4, "--local_adapter_managing")
    title, head, first, *rest = shown(capsys, *argv, *flags).splitlines()
    assert title == f"{QUERY}: 2 items, 4 steps of 1, in this order each epoch; rank 4, rate 5e-05"
    assert head.split() == ["weight", "tokens", "trained", "on", "item"] and len(rest) == 1
    assert "what colour is the sky ?\\nblue</s>" in first
    (plan,) = json.loads(shown(capsys, *argv, *flags, "--json", "--weighted_sample_training"))
    assert plan["query"] == QUERY and plan["retrieved"][0]["score"] == 1.0
    near, far = plan["items"]
    assert near["name"].startswith("colours#") and near["weight"] > 1 > far["weight"]
    assert near["trained_on"] == 2 < near["tokens"]
    (whole,) = json.loads(shown(capsys, *argv, *flags, "--json", "--loss_on", "all"))
    assert all(item["trained_on"] == item["tokens"] for item in whole["items"])


def test_a_chat_base_shows_its_template(
    chat_base: Path, text_kb: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("--query", QUERY, "--model_path", chat_base, "--knowledge_base_path", text_kb)
    (plan,) = json.loads(shown(capsys, *argv, "--json", "--only_faiss"))
    assert len(plan["items"]) == len(RECORDS)
    assert plan["items"][0]["text"].startswith(f"<user> {QUERY} <bot> ")


def test_tasks_show_what_their_items_were_made_from(
    canvas_base: Path, task_kb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = write_tasks(tmp_path / "tasks", [small_task("t1", 3), small_task("t2", 4)])
    flags = [f"--{name}={value}" for name, value in (QUICK | {"num_ttt_samples": 2}).items()]
    argv = ("--task", tasks, "--model_path", canvas_base, "--knowledge_base_path", task_kb, *flags)
    one, two = shown(capsys, *argv).strip().split("\n\n")
    assert one.splitlines()[0] == (
        "t1: 10 items, 24 steps of 4, shuffled each epoch; rank 8, rate 0.01"
    )
    assert two.startswith("t2: ") and len(one.splitlines()) == 2 + 10
    assert " t1.loo0 " in one and "known" in one.splitlines()[-1]
    plans = json.loads(shown(capsys, *argv, "--json"))
    assert [plan["id"] for plan in plans] == ["t1", "t2"]
    assert "<input>" in plans[0]["items"][0]["text"].lower()
    assert "seconds" not in plans[0] and plans[0]["items_withheld"] == 0


def test_a_task_with_nothing_to_train_on_says_so(
    canvas_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = write_tasks(tmp_path / "tasks", [small_task("lone", demos=1)])
    flags = [f"--{name}={value}" for name, value in QUICK.items()]
    out = shown(capsys, "--task", task, "--model_path", canvas_base, *flags)
    assert out.startswith("lone: nothing to train on\n")
