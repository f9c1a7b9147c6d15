"""What is known of kept adapters without opening them, and those that stay in memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from test_adapter_store import KEY, adapter, axis, kept, open_store, put

from client.adapters.entry import new_entry
from client.adapters.index import AdapterIndex
from client.adapters.memory import AdapterMemory
from client.adapters.shelf import Shelf
from models.multilora.peft_files import WEIGHTS


def test_what_was_used_long_ago_fades(tmp_path: Path) -> None:
    """Plain counts keep yesterday's favourite for ever, and today's come and go."""
    stores = {name: open_store(tmp_path / name, strategy=name) for name in ("lfu", "lfu-ageing")}
    for store in stores.values():
        for i in (0, 1):
            put(store, i)
            for _ in range(3):
                store.find(axis(i), KEY)
        for i in [2, 3, 4, 5, 6, 7] * 2:
            put(store, i)
            store.find(axis(i), KEY)
    assert {0, 1} <= kept(stores["lfu"])
    assert not {0, 1} & kept(stores["lfu-ageing"])


def test_what_another_strategy_thought_of_entries_is_forgotten(tmp_path: Path) -> None:
    store = open_store(tmp_path, strategy="lfu-ageing", size=1)
    for i in range(4):
        put(store, i)
        store.find(axis(i), KEY)
    assert store.entries()[0].usage.floor > 0
    put(open_store(tmp_path, strategy="cost"), 5)
    assert [entry.usage.floor for entry in store.entries()] == [0, 0]


def test_a_size_in_bytes_holds_beside_the_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(open_store(tmp_path / "one"), 0)
    (one,) = open_store(tmp_path / "one").entries()
    store = open_store(tmp_path / "some", size=9, most_bytes=int(2.5 * one.usage.size))
    for i in range(4):
        put(store, i)
    assert kept(store) == {2, 3}
    assert store.put(axis(7), KEY, adapter(7, size=9999), base_path="base") is None
    assert kept(store) == {2, 3}
    assert "an adapter of 0.2 MB is not kept" in capsys.readouterr().err


def test_what_is_in_memory_is_not_read_again(tmp_path: Path) -> None:
    store = open_store(tmp_path, memory=10_000)
    entry = put(store, 0)
    (tmp_path / "entries" / entry / WEIGHTS).write_bytes(b"")
    found = store.find(axis(0), KEY)
    assert found is not None and found.files.extra["loss"] == 0
    put(store, 0, value=4)  # what replaces it is another version
    found = store.find(axis(0), KEY)
    assert found is not None and found.files.extra["loss"] == 4
    open_store(tmp_path).evict(entry)  # as another process would
    assert store.find(axis(0), KEY) is None


def test_memory_holds_the_last_used_ones() -> None:
    memory = AdapterMemory(2 * 4 * (2 * 6 + 6 * 2))
    for i in (0, 1, 0, 2):
        if memory.find((str(i), 0.0)) is None:
            memory.hold((str(i), 0.0), adapter(i))
    there = [i for i in range(3) if memory.find((str(i), 0.0)) is not None]
    assert there == [0, 2]
    memory.hold(("large", 0.0), adapter(9, size=99))
    assert memory.find(("large", 0.0)) is None


def test_many_are_searched_in_one_array(tmp_path: Path) -> None:
    """Rows and lines alone: what is timed in eval/bench/cache.py is told right here."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2000, 32)).astype(np.float32)
    with AdapterIndex(tmp_path / "index.sqlite") as index:
        ids = [new_entry(vector, KEY, 1.0) for vector in vectors]
        for entry in ids:
            index.add(entry)
    shelf = Shelf(KEY.shelf(32), 32)

    def nearest(i: int) -> str:
        with AdapterIndex(tmp_path / "index.sqlite") as index:
            shelf.follow(index)
            query = vectors[i] / np.linalg.norm(vectors[i])
            return index.usage(shelf.nearest(query, 1, 0.0)[0][0]).entry_id

    assert all(nearest(i) == ids[i].id for i in (0, 63, 64, 1999))
    with AdapterIndex(tmp_path / "index.sqlite") as index:  # as another process would
        index.remove([ids[63].id, ids[1999].id])
        index.add(ids[1999])
    assert nearest(63) != ids[63].id
    assert all(nearest(i) == ids[i].id for i in (0, 64, 1998, 1999))


def test_a_spoilt_index_is_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(tmp_path)
    put(store, 0)
    (tmp_path / "index.sqlite").write_bytes(b"spoilt" * 1000)
    assert store.find(axis(0), KEY) is not None
    assert store.stats().hits == 1
    assert "its counts start again at zero" in capsys.readouterr().err
    (tmp_path / "index.sqlite").unlink()
    assert store.find(axis(0), KEY) is not None and capsys.readouterr().err == ""
    assert vars(store.stats())["hits"] == 1


def test_an_adapter_of_another_query_under_its_name_is_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(tmp_path)
    best, other = put(store, 0), put(store, 1)
    entries = tmp_path / "entries"
    shutil.rmtree(entries / best)
    shutil.copytree(entries / other, entries / best)
    assert store.find(axis(0), KEY) is None and kept(store) == {1}
    assert "holds the adapter of another query or base" in capsys.readouterr().err
