"""Looking into a store: what is listed, shown, taken out and counted, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_adapter_store import KEY, axis, kept, open_store, put

from client.adapters.__main__ import main
from hone.errors import Damaged
from models.multilora.peft_files import WEIGHTS

Refused = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = open_store(tmp_path / "kept")
    for i in range(3):
        put(store, i)
    store.find(axis(1), KEY)
    store.find(axis(7), KEY)
    return store.folder


@pytest.fixture
def told(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def run(*words: str) -> Any:
        assert main([*words, "--json", "--local_adapter_manager_dir", str(folder)]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def test_the_list_names_all_oldest_first(
    told: Callable[..., Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = told("list")
    assert [one["uses"] for one in listed] == [0, 1, 0]
    assert all(one["base"] == "b" and one["size"] > 500 for one in listed)
    assert main(["list", "--local_adapter_manager_dir", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and [line[:16] for line in lines[1:]] == [a["adapter"] for a in listed]


def test_one_is_shown_by_its_first_letters(told: Callable[..., Any]) -> None:
    listed = told("list")
    shown = told("show", "--adapter", listed[1]["adapter"][:9])
    assert shown["adapter"] == listed[1]["adapter"] and shown["rank"] == 2 and shown["loss"] == 1
    assert set(shown["nearest_others"]) == {listed[i]["adapter"] for i in (0, 2)}
    assert told("stats")["hits"] == 1, "looking is no use"


def test_some_are_taken_out_or_all(told: Callable[..., Any], folder: Path) -> None:
    first, second, third = (one["adapter"] for one in told("list"))
    assert told("evict", "--adapters", first, third[:9]) == [first, third]
    assert [one["adapter"] for one in told("list")] == [second]
    assert told("evict", "--all") == [second] and kept(open_store(folder)) == set()


def test_the_stats_say_what_it_was_worth(told: Callable[..., Any]) -> None:
    stats = told("stats")
    assert (stats["adapters"], stats["queries"], stats["hit_rate"]) == (3, 2, 0.5)
    assert stats["megabytes"] > 0 and stats["misses"] == 1 and stats["evictions"] == 0


def test_a_damaged_one_that_is_shown_is_said_to_be_gone(folder: Path) -> None:
    entry = open_store(folder).entries()[0].id
    (folder / "entries" / entry / WEIGHTS).write_bytes(b"")
    with pytest.raises(Damaged, match="was damaged and has been removed"):
        main(["show", "--adapter", entry, "--local_adapter_manager_dir", str(folder)])
    assert entry not in {one.id for one in open_store(folder).entries()}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["show"], "no --adapter; give an id"),
        (["show", "--adapter", "xyz"], "has no adapter xyz"),
        (["evict"], "give either --adapters with ids"),
        (["evict", "--adapters", "xyz"], "has no adapter xyz"),
        (["evict", "--all", "--adapters", "a"], "give either --adapters with ids"),
        (["drop"], "no command 'drop'; there are: list, show, evict, stats"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_changes(
    folder: Path, refused: Refused, words: list[str], reason: str
) -> None:
    where = ["--local_adapter_manager_dir", folder]
    assert reason in refused(main, *words, *(where if words[0] != "drop" else []))
    assert kept(open_store(folder)) == {0, 1, 2}


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, refused: Refused) -> None:
    for name in ("list", "stats"):
        said = refused(main, name, "--local_adapter_manager_dir", tmp_path / "none")
        assert "no adapters are kept in" in said
    assert not list(tmp_path.iterdir())
