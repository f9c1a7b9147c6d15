"""The client as a user meets it: what it prints, what it keeps, one line for what it cannot use."""

from __future__ import annotations

import io
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_arc_solver import QUICK
from tiny_bases import serving, small_task, write_tasks

from arc.grid import unspell
from client import ttt_multi_lora
from client.client import main
from hone.errors import run_command
from kb import build_kb
from models.multilora.peft_files import read_adapter

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parent.parent.parent
FLAGS = [f"--{name}={value}" for name, value in QUICK.items()]
Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def nothing_else_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands write below the folder they are started in."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    return write_tasks(tmp_path / "tasks", [small_task("t1", 3), small_task("t2", 4, tests=2)])


def printed(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[str, str]:
    capsys.readouterr()
    assert main([str(word) for word in argv]) == 0
    said = capsys.readouterr()
    return said.out, said.err


def test_tasks_are_shown_side_by_side(
    tasks: Path, canvas_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("--task", tasks, "--model_path", canvas_base, *FLAGS, "--ttt")
    out, err = printed(capsys, *argv, "--num_ttt_samples", 1)
    assert re.search(
        r"^t1: (not )?solved, \d+% sure \(train\)\ninput +expected +attempt 1 \(\d+%\)", out, re.M
    )
    assert out.count("input   expected") == 3 and re.search(r"\n\d of 2 solved\n$", out)
    note, trace = err.splitlines()
    assert note.startswith("note: no --server_url") and trace.startswith("trace: runs/client/")
    task = json.loads(Path(trace.removeprefix("trace: ")).read_text())["answers"][0]
    assert len({one["view"] for one in task["trace"]["views"][0]}) == 3
    assert task["trace"]["decision"] == "train"


def test_one_task_file_of_an_unknown_answer(
    tmp_path: Path, canvas_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tasks(tmp_path / "one", [small_task("t1").without_answers()])
    out, _ = printed(capsys, "--task", tmp_path / "one/t1.json", "--model", canvas_base, *FLAGS)
    assert re.search(r"t1: answer unknown, \d+% sure \(base\)", out)
    assert "expected" not in out and "of 1" not in out


def test_json_stands_alone_on_stdout(
    tasks: Path, canvas_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("--task", tasks, "--model_path", canvas_base, "--json", "--ttt", *FLAGS)
    out, _ = printed(capsys, *argv)
    rows = json.loads(out)
    assert [row["id"] for row in rows] == ["t1", "t2"] and len(rows[1]["attempts"]) == 2
    shown = [attempt["grid"] for row in rows for own in row["attempts"] for attempt in own]
    assert shown and all(unspell("/".join("".join(map(str, r)) for r in g)).size for g in shown)
    again, _ = printed(capsys, *argv)
    assert [row["attempts"] for row in json.loads(again)] == [row["attempts"] for row in rows]
    assert len(list(Path("runs/client").iterdir())) == 2  # within one second, perhaps


def test_text_comes_from_the_command_line_or_from_stdin(
    text_base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ("--model_path", text_base, "--max_new_tokens", 4)
    out, _ = printed(capsys, "--query", "the sky", *argv)
    monkeypatch.setattr(sys, "stdin", io.StringIO("the sky"))
    assert printed(capsys, "--query", "-", *argv)[0] == out
    out, _ = printed(capsys, "--query", "the sky", "--json", *argv)
    assert json.loads(out)[0]["query"] == "the sky"


def test_answering_without_training_needs_no_server(
    text_base: Path, tasks: Path, canvas_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = ("--server_url", "http://127.0.0.1:1", "--local_adapter_managing")
    _, err = printed(capsys, "--query", "the sky", "--model_path", text_base, *nowhere)
    assert "--local_adapter_managing does nothing without --ttt" in err
    printed(capsys, "--task", tasks, "--model_path", canvas_base, *FLAGS, *nowhere)
    assert [path.name for path in Path("runs").iterdir()] == ["client"]


def without_weights(base: Path, folder: Path) -> Path:
    return Path(shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.safetensors")))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "give --query with a text, --query_file with a file of them, --task with an ARC task"),
        (["--dry_run"], "without them queries are read from a terminal"),
        (["--query", "x", "--task", "{tasks}"], "--query and --task are given; choose one"),
        (["--query", "x", "--serve"], "--query and --serve are given; choose one"),
        (["--serve", "--dry_run"], "--serve answers requests, so it takes neither --dry_run"),
        (["--serve", "--port", "66000"], "--port is 66000, at most 65535 was expected"),
        (["--serve", "--most_waiting", "0"], "--most_waiting is 0, at least 1 was expected"),
        (["--query", "x", "--answer_file", "a.jsonl"], "--answer_file needs --query_file"),
        (["--query_file", "nowhere.jsonl"], "no file nowhere.jsonl; check --query_file"),
        (["--query", " "], "the query is empty"),
        (["--query", "x"], "{base} reads grids, not text; name a language model with --model_path"),
        (
            ["--task", "{tasks}", "--preset", "arcseed"],
            "--preset is 'arcseed'; choose from arc-seed",
        ),
        (["--task", "{tasks}", "--model_path", "nowhere"], "no model folder nowhere; fetch one"),
        (["--task", "{tasks}", "--model_path", "{hollow}"], "has no weights (model.safetensors)"),
        (["--task", "{empty}"], "{empty} holds no *.json task files; check the path"),
        (["--task", "nowhere.json"], "no file nowhere.json; check the path"),
        (["--task", "{bad}/json.json"], "{bad}/json.json is not JSON"),
        (["--task", "{bad}/tall.json"], "train pair 0 input: 31 rows by 1 columns"),
        (["--task", "{bad}/ragged.json"], "test pair 0 input: row 1 has 1 cells, row 0 has 2"),
        (["--task", "{bad}/ten.json"], "cell (row 0, column 1) is 10; a colour is a whole number"),
        (["--task", "{tasks}", "--lora_rank", "0"], "--lora_rank is 0, at least 1 was expected"),
        (["--task", "{tasks}", "--learning_rate", "nan"], "--learning_rate is nan, a finite"),
        (
            ["--task", "{tasks}", "--augmentations", "flip"],
            "no augmentations 'flip'; there are: sym",
        ),
        (["--task", "{tasks}", "--leave_out", "3"], "--leave_out is 3, at most 2 was expected"),
        (["--task", "{tasks}", "--loss_on", "some"], "--loss_on is 'some'; choose from outputs, a"),
        (["--task", "{tasks}", "--k", "0"], "--k is 0, at least 1 was expected"),
        (
            ["--task", "{tasks}", "--threads", "9999"],
            "--threads is 9999, at most 1024 was expected",
        ),
        (["--task", "{tasks}", "--seed", f"{2**32}"], "--seed is 4294967296, at most 4294967295"),
        (["--task", "{tasks}", "--num_pseudo", "1000000"], "--num_pseudo is 1000000, at most"),
        (
            ["--task", "{tasks}", "--local_adapter_manager_threshold", "1.5"],
            "--local_adapter_manager_threshold is 1.5, at most 1.0 was expected",
        ),
        (
            ["--task", "{tasks}", "--local_adapter_manager_strategy", "fifo"],
            "--local_adapter_manager_strategy is 'fifo'; choose from lfu, random, lru, lfu-ageing",
        ),
        (
            ["--task", "{tasks}", "--ttt", "--local_adapter_managing", "--target_modules", "qkv"],
            "no linear layer is called qkv; there are: ['down_proj', 'embed_tokens',",
        ),
        (
            ["--task", "{tasks}", "--server_url", "http://h:1", "--knowledge_base_path", "x"],
            "--server_url and --knowledge_base_path are both given; choose one",
        ),
        (["--task", "{tasks}", "--ttt", "--knowledge_base_path", "x"], "no knowledge base at x"),
        (
            ["--task", "{tasks}", "--ttt", "--server_url", "here"],
            "'here' is not a server's address",
        ),
        (["--task", "{tasks}", "--ttt", "--embedder", "minilm"], "minilm reads text queries"),
        (["--task", "{tasks}", "--trace_dir", "{bad}/json.json"], "json.json is a file; name a"),
        (
            ["--task", "{tasks}", "--device", "tpu"],
            "--device is 'tpu'; choose from auto, cpu, cuda",
        ),
        (["--task", "{tasks}", "--views", "0"], "--views is 0, at least 1 was expected"),
        (["--task", "{tasks}", "--tttt"], "unknown argument --tttt; did you mean --ttt?"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tasks: Path, canvas_base: Path, tmp_path: Path, refused: Refused, argv: list[str], said: str
) -> None:
    bad, empty = tmp_path / "bad", tmp_path / "empty"
    bad.mkdir()
    empty.mkdir()
    pair: dict[str, Any] = {"input": [[1, 2]], "output": [[1]]}
    (bad / "json.json").write_text('{"train": [')
    for name, cells in (("tall", [[1]] * 31), ("ten", [[1, 10]])):
        broken = {"train": [{**pair, "input": cells}], "test": [pair]}
        (bad / f"{name}.json").write_text(json.dumps(broken))
    ragged = {"train": [pair], "test": [{"input": [[1, 2], [3]]}]}
    (bad / "ragged.json").write_text(json.dumps(ragged))
    hollow = without_weights(canvas_base, tmp_path / "hollow")
    names = {"tasks": tasks, "base": canvas_base, "hollow": hollow, "empty": empty, "bad": bad}
    words = [word.format(**names) for word in argv]
    own_base = [] if "--model_path" in argv else ["--model_path", canvas_base]
    assert said.format(**names) in refused(main, *own_base, *words)
    assert not any(Path.cwd().iterdir())


def test_a_server_that_is_down_is_named(
    tasks: Path, canvas_base: Path, text_base: Path, refused: Refused
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    argv = ("--ttt", "--server_url", url)
    said = refused(main, "--task", tasks, "--model_path", canvas_base, *argv)
    assert f"no server at {url}" in said and "start one with python -m server" in said
    assert url in refused(main, "--query", "x", "--model_path", text_base, *argv)
    assert not any(Path.cwd().iterdir())


def test_samples_of_another_embedder_are_refused(
    tasks: Path, canvas_base: Path, text_base: Path, task_kb: Path, text_kb: Path, refused: Refused
) -> None:
    with serving(task_kb) as url:
        said = refused(
            main, "--query", "x", "--ttt", "--model_path", text_base, "--server_url", url
        )
    assert f"{url} was built with the embedder arc" in said and "use the same embedder" in said
    argv = ("--task", tasks, "--ttt", "--model_path", canvas_base)
    said = refused(main, *argv, "--knowledge_base_path", text_kb)
    assert f"{text_kb} was embedded with minilm" in said
    assert not any(Path.cwd().iterdir())


def test_run_by_path_it_refuses_in_one_line_too(tasks: Path) -> None:
    command = [sys.executable, str(ROOT / "client" / "client.py"), "--task", str(tasks)]
    done = subprocess.run([*command, "--model", "nowhere"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stdout == ""
    assert done.stderr.startswith("error: no model folder nowhere")


def fill(disk: Path, leave: int) -> None:
    """All of the disk but so many bytes."""
    free = shutil.disk_usage(disk).free
    (disk / "filler").write_bytes(bytes(max(0, free - leave)))


def test_a_full_disk_keeps_no_half_of_an_adapter_and_costs_no_answer(
    tasks: Path, canvas_base: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = small_disk / "adapters"
    argv = ("--task", tasks, "--model_path", canvas_base, "--ttt", *FLAGS, "--steps", 1)
    keep = ("--local_adapter_managing", "--local_adapter_manager_dir", store)
    out, err = printed(capsys, *argv, *keep, "--json")  # two adapters are more than it holds
    assert f"not kept for later queries ({store}: No space left on device)" in err
    assert len(json.loads(out)) == 2
    assert all(read_adapter(entry).rank == 8 for entry in (store / "entries").iterdir())


def test_a_full_disk_keeps_no_half_of_a_result(
    tasks: Path, canvas_base: Path, small_disk: Path, refused: Refused
) -> None:
    fill(small_disk, leave=16384)
    out = small_disk / "out"
    argv = ("--data_dir", tasks, "--model_path", canvas_base, *FLAGS, "--steps", 1, "--views", 40)
    said = refused(ttt_multi_lora.main, *argv, "--out_dir", out)
    assert "cannot write to" in said and str(out) in said
    left = [path for path in out.rglob("*") if path.is_file()]
    assert left and all(json.loads(path.read_text()) for path in left if path.suffix == ".json")


def test_a_trace_that_cannot_be_written_is_said(
    tasks: Path, canvas_base: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(small_disk, leave=0)
    argv = ["--task", tasks, "--model_path", canvas_base, "--trace_dir", small_disk, *FLAGS]
    with pytest.raises(SystemExit) as left:
        run_command(lambda: main(list(map(str, argv))))
    out, err = capsys.readouterr()
    assert left.value.code == 2 and "t1:" in out
    assert err.count("\n") == 1 and f"cannot write to {small_disk}" in err
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_a_knowledge_base_of_real_tasks_and_a_damaged_hit(
    tasks: Path, canvas_base: Path, tmp_path: Path, refused: Refused
) -> None:
    """A record that is no task, behind the right embedder, is said to be one to build again."""
    import sqlite3

    from kb_stores import restamp

    from kb.records import Record

    known = write_tasks(tmp_path / "known", [small_task("k", 7)])
    build_kb.main(["--datasets", str(known), "--save_dir", str(tmp_path / "kb")])
    file = tmp_path / "kb" / "records.sqlite"
    with sqlite3.connect(file) as records:
        source, answer = records.execute("SELECT source, answer FROM records").fetchone()
        checksum = Record(source, "arc", "{}", answer).checksum(0)
        records.execute("UPDATE records SET prompt = '{}', checksum = ?", (checksum,))
    records.close()
    restamp(tmp_path / "kb", "records.sqlite")
    argv = ("--task", tasks, "--ttt", "--model_path", canvas_base, *FLAGS, "--num_ttt_samples", 1)
    said = refused(main, *argv, "--knowledge_base_path", tmp_path / "kb")
    assert "is not an ARC task" in said and "rebuild the knowledge base" in said
