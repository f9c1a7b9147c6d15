"""The adapter store: what is found, who is evicted, and what survives a kill or a full disk."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from client.adapter_store import AdapterStore
from client.adapters.entry import Key
from hone.errors import BadInput, NotThere
from models.multilora.peft_files import WEIGHTS, AdapterFiles, read_adapter

torch.set_num_threads(1)
KEY = Key(embedder="e", base="b", configuration="c")
Vector = npt.NDArray[np.float32]


def axis(i: int) -> Vector:
    return np.eye(8, dtype=np.float32)[i]


def adapter(value: float, size: int = 6) -> AdapterFiles:
    a, b = torch.full((2, size), float(value)), torch.full((size, 2), float(value))
    tensors = {"m.q_proj": (a, b)}
    return AdapterFiles(tensors, 2, 4.0, ["q_proj"], extra={"loss": value})


def open_store(folder: Path, **changes: Any) -> AdapterStore:
    return AdapterStore(folder, **({"size": 3, "threshold": 0.5} | changes))


def put(store: AdapterStore, i: int, value: float | None = None, key: Key = KEY) -> str:
    return store.put(axis(i), key, adapter(i if value is None else value), base_path="base")


def kept(store: AdapterStore) -> set[int]:
    return {int(entry.vector.argmax()) for entry in store.entries()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_nearest_above_the_threshold_is_found(tmp_path: Path) -> None:
    store = open_store(tmp_path, threshold=0.6)
    ids = [put(store, i) for i in range(3)]
    found = store.find(axis(0) * 3 + axis(1) * 4, KEY)
    assert found is not None and found.entry_id == ids[1]
    assert found.similarity == pytest.approx(0.8)
    assert found.files.extra["loss"] == 1
    assert torch.equal(found.files.tensors["m.q_proj"][0], torch.ones(2, 6))
    assert store.find(axis(0) + axis(1) + axis(2), KEY) is None  # 0.577 each
    assert store.find(axis(7), KEY) is None
    stats = store.stats()
    assert (stats.hits, stats.misses, stats.evictions) == (1, 2, 0)


def test_a_query_finds_its_own_adapter_at_threshold_one(tmp_path: Path) -> None:
    store = open_store(tmp_path, threshold=1)
    rng = np.random.default_rng(0)
    for _ in range(20):
        vector = rng.normal(size=384).astype(np.float32)
        store.put(vector, KEY, adapter(1), base_path="base")
        assert store.find(vector, KEY) is not None
        assert store.find(vector + 0.01 * vector[::-1], KEY) is None


@pytest.mark.parametrize("part", ["embedder", "base", "configuration"])
def test_another_key_never_matches(tmp_path: Path, part: str) -> None:
    store = open_store(tmp_path)
    put(store, 0)
    other = Key(**(vars(KEY) | {part: "another"}))
    assert store.find(axis(0), other) is None
    put(store, 0, 9, other)
    found = store.find(axis(0), KEY)
    assert found is not None and found.files.extra["loss"] == 0
    assert len(store.entries()) == 2


def test_vectors_of_another_size_never_match(tmp_path: Path) -> None:
    store = open_store(tmp_path, threshold=0)
    put(store, 0)
    assert store.find(np.ones(5, dtype=np.float32), KEY) is None
    assert store.find(np.full(8, np.nan, dtype=np.float32), KEY) is None


def test_the_same_query_replaces_its_own(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert put(store, 0, 1) == put(store, 0, 2)
    found = store.find(axis(0), KEY)
    assert found is not None and found.files.extra["loss"] == 2
    assert len(store.entries()) == 1 and store.stats().evictions == 0


def test_the_least_used_leaves_and_of_equals_the_oldest(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for i in range(3):
        put(store, i)
    for i in (0, 0, 2):
        store.find(axis(i), KEY)
    store = open_store(tmp_path)  # counts are kept
    put(store, 3)
    assert kept(store) == {0, 2, 3}
    put(store, 4)  # 3 was never used; the new one is not asked
    assert kept(store) == {0, 2, 4}
    assert store.stats().evictions == 2


def run_of_random(folder: Path, seed: int) -> list[set[int]]:
    """What is kept after each of some puts, each by a store opened anew; 0 is used the most."""
    left = []
    for i in range(8):
        store = open_store(folder, strategy="random", seed=seed)
        put(store, i)
        store.find(axis(0), KEY)
        left.append(kept(store))
    return left


def test_random_is_random_and_repeats_by_seed(tmp_path: Path) -> None:
    runs = [run_of_random(tmp_path / str(i), seed) for i, seed in enumerate((0, 0, 1, 2))]
    assert runs[0] == runs[1]
    assert len({str(run) for run in runs}) == 3
    # lfu never drops the one that is used, random does
    assert any(0 not in run[-1] for run in runs)


def test_a_smaller_size_holds_from_the_next_put(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for i in range(3):
        put(store, i)
    store = open_store(tmp_path, size=1)
    put(store, 5)
    assert kept(store) == {5} and store.stats().evictions == 3


def test_an_entry_is_a_peft_folder_and_can_be_evicted(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    entry_id = put(store, 0)
    config = json.loads((tmp_path / "entries" / entry_id / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA" and config["base_model_name_or_path"] == "base"
    store.evict(entry_id)
    assert names(tmp_path / "entries") == [] and store.find(axis(0), KEY) is None
    for missing in (entry_id, "../entries"):
        with pytest.raises(NotThere, match="has no entry"):
            store.evict(missing)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": 0}, "size is 0"),
        ({"threshold": 1.5}, r"threshold is 1\.5"),
        ({"threshold": -0.1}, r"threshold is -0\.1"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"strategy": "fifo"}, "'fifo'; use lfu, random, lru, lfu-ageing, cost"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadInput, match=reason):
        open_store(tmp_path / "store", **changes)
    assert names(tmp_path) == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in ("file", "file/below"):
        with pytest.raises(BadInput, match="is a file"):
            open_store(tmp_path / path)


@pytest.mark.parametrize("vector", [np.zeros(8), np.full(8, np.inf)])
def test_a_vector_without_direction_is_not_stored(tmp_path: Path, vector: Any) -> None:
    store = open_store(tmp_path)
    with pytest.raises(BadInput, match="zero or not finite"):
        store.put(vector, KEY, adapter(1), base_path="base")
    assert store.entries() == []


def _cut_weights(entry: Path) -> None:
    (entry / WEIGHTS).write_bytes((entry / WEIGHTS).read_bytes()[:-5])


@pytest.mark.parametrize(
    "spoil",
    [
        _cut_weights,
        lambda entry: (entry / WEIGHTS).unlink(),
        lambda entry: (entry / "hone.json").write_text("{"),
        lambda entry: (entry / "hone.json").write_text("{}"),
        lambda entry: (entry / "hone.json").write_text('{"store": 1}'),
        lambda entry: (entry / "adapter_config.json").unlink(),
        shutil.rmtree,
    ],
)
def test_a_damaged_entry_is_dropped_and_the_next_best_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Any
) -> None:
    store = open_store(tmp_path)
    best, second = put(store, 0), put(store, 1)
    spoil(tmp_path / "entries" / best)
    query = 2 * axis(0) + 1.5 * axis(1)
    for _ in range(2):
        found = open_store(tmp_path).find(query, KEY)
        assert found is not None and found.entry_id == second
    assert names(tmp_path / "entries") == [second]
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == (spoil is not shutil.rmtree)
    assert all("a damaged adapter is removed" in note for note in notes)
    assert store.stats().hits == 2


def test_leftovers_are_swept_and_the_rest_is_let_be(tmp_path: Path) -> None:
    entry = put(open_store(tmp_path), 0)
    for name in (f".{entry}.0123abcd", f".{entry}.old-0123abcd"):
        shutil.copytree(tmp_path / "entries" / entry, tmp_path / "entries" / name)
    (tmp_path / "entries" / "notes").mkdir()
    store = open_store(tmp_path)
    assert names(tmp_path / "entries") == [entry, "notes"]
    assert kept(store) == {0}


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path, size=1)
    entry = put(store, 0)

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left") as caught:
            put(store, 1)
    assert caught.value.filename == str(tmp_path)
    assert names(tmp_path / "entries") == [entry] and store.find(axis(0), KEY) is not None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(mount).returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_on_a_disk_that_is_really_full(small_disk: Path) -> None:
    store = open_store(small_disk / "store")
    entry = put(store, 0)
    large = adapter(1, size=20_000)
    with pytest.raises(OSError, match="No space left") as caught:
        store.put(axis(1), KEY, large, base_path="base")
    assert caught.value.filename == str(small_disk / "store")
    assert names(small_disk / "store" / "entries") == [entry]
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert store.find(axis(0), KEY) is not None  # a count is lost, the answer is not


PROCESSES = multiprocessing.get_context("forkserver")  # imports once, for all that it starts
PROCESSES.set_forkserver_preload(["tests.client.test_adapter_store"])


def keep_putting(folder: Path, rounds: int, begun: Any) -> None:
    store = open_store(folder)
    begun.set()
    for i in range(rounds):
        put(store, i % 5, value=i)
        store.find(axis(i % 5), KEY)


@contextmanager
def putting(folder: Path, rounds: int) -> Iterator[Any]:
    begun = PROCESSES.Event()
    process = PROCESSES.Process(target=keep_putting, args=(folder, rounds, begun))
    process.start()
    assert begun.wait(timeout=60)
    yield process
    process.kill()
    process.join()
    process.close()


def test_what_several_processes_store_another_finds(tmp_path: Path) -> None:
    with putting(tmp_path, 20) as one, putting(tmp_path, 20) as other:
        one.join(timeout=60)
        other.join(timeout=60)
        assert one.exitcode == other.exitcode == 0
    store = open_store(tmp_path)
    assert len(store.entries()) == 3
    stats = store.stats()
    assert stats.hits + stats.misses == 40
    found = store.find(axis(4), KEY)
    assert found is not None and found.files.extra["loss"] == 19


def test_a_kill_at_any_moment_leaves_a_store_that_opens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for delay in (0.0, 0.013, 0.05, 0.111):
        with putting(tmp_path, 10**9):
            time.sleep(delay)
        store = open_store(tmp_path)
        assert len(store.entries()) <= store.room.entries + 1
        for name in names(tmp_path / "entries"):
            assert not name.startswith(".")
            read_adapter(tmp_path / "entries" / name)
        put(store, 6)
        assert store.find(axis(6), KEY) is not None and len(store.entries()) <= store.room.entries
    assert capsys.readouterr().err == ""
