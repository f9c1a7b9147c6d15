"""A run that is killed or told to stop: nothing half-written, nobody left hanging."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from test_arc_solver import QUICK
from tiny_bases import small_task, write_tasks

from client.adapter_store import AdapterStore
from models.multilora.peft_files import read_adapter

ROOT = Path(__file__).resolve().parent.parent.parent


@contextmanager
def running(folder: Path, base: Path, steps: int) -> Iterator[subprocess.Popen[str]]:
    """The command over many tasks, its adapters kept, as soon as the first one is."""
    tasks = [small_task(f"t{n}", 1 + n % 9, demos=2 + n // 9) for n in range(45)]
    data = write_tasks(folder / "data", tasks)
    flags = QUICK | {"steps": steps, "num_pseudo": 2, "views": 1, "data_dir": data, "threads": 1}
    flags |= {"out_dir": folder / "out", "model_path": base, "local_adapter_manager_size": 1000}
    flags |= {"local_adapter_manager_dir": folder / "kept", "local_adapter_manager_threshold": 1}
    command = [
        *(sys.executable, str(ROOT / "client" / "ttt_multi_lora.py"), "--local_adapter_managing"),
        *(f"--{name}={value}" for name, value in flags.items()),
    ]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts
    )
    try:
        while not entries(folder) and process.poll() is None:
            time.sleep(0.002)
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def hear_interrupts() -> None:
    """What a shell starts in the background inherits that it does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def entries(folder: Path) -> list[Path]:
    place = folder / "kept" / "entries"
    return [path for path in place.iterdir() if path.name[0] != "."] if place.is_dir() else []


def check_whole(folder: Path) -> None:
    """What stands there can be read; what does not is swept away."""
    for entry in entries(folder):
        assert read_adapter(entry).rank == QUICK["lora_rank"]
    store = AdapterStore(folder / "kept", size=1000)
    assert len(store.entries()) == len(entries(folder)) > 0
    assert not [path for path in (folder / "kept" / "entries").iterdir() if path.name[0] == "."]
    for row in (folder / "out" / "tasks").glob("[!.]*.json"):
        trace = json.loads(row.read_text())["trace"]
        assert trace["decision"] == "hit" or trace["seat"]["left"] == "steps"


def test_a_kill_leaves_whole_adapters_and_whole_rows(canvas_base: Path, tmp_path: Path) -> None:
    with running(tmp_path, canvas_base, steps=1) as process:
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    check_whole(tmp_path)


def test_ctrl_c_leaves_at_once_in_one_line(canvas_base: Path, tmp_path: Path) -> None:
    with running(tmp_path, canvas_base, steps=30) as process:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 130
        assert said.splitlines()[-1].startswith("interrupted: what is answered stays in")
        assert "Traceback" not in said
    check_whole(tmp_path)
