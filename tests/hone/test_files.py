"""Files and folders are whole or not there, even when the program is killed while it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hone.errors import BadInput, Damaged, NotThere
from hone.files import (
    check_writable,
    put_in_place,
    read_json,
    sha256_of,
    short_hash,
    whole_folder,
    write_bytes,
    write_json,
)

KILLED_BEFORE_THE_RENAME = """
import os, pathlib, signal, sys
from hone.files import whole_folder, write_json

def die(*_): os.kill(os.getpid(), signal.SIGKILL)

pathlib.Path.replace = pathlib.Path.rename = die
target = pathlib.Path(sys.argv[1])
if target.suffix:
    write_json(target, {"new": "x" * 100_000})
else:
    with whole_folder(target) as folder:
        write_json_plainly = (folder / "part.json").write_text("new")
"""


def kill_while_writing(target: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_BEFORE_THE_RENAME, str(target)])
    assert done.returncode == -signal.SIGKILL


def test_a_killed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "state.json"
    write_json(target, {"old": True})
    kill_while_writing(target)
    assert read_json(target) == {"old": True}


def test_a_killed_write_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "adapter"
    with whole_folder(target) as folder:
        (folder / "part.json").write_text("old")
    kill_while_writing(target)
    assert (target / "part.json").read_text() == "old"
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".")] == [target]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(tmp_path / "new", b"x")
    assert list(tmp_path.iterdir()) == []


def test_parents_are_made_and_text_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c.json"
    write_json(target, {"é": [1, 2.5, None]})
    assert read_json(target) == {"é": [1, 2.5, None]}
    assert "é" in target.read_text()


def test_whole_folder_takes_the_place_of_the_old(tmp_path: Path) -> None:
    target = tmp_path / "kb"
    for text in ("old", "new"):
        with whole_folder(target) as folder:
            assert folder.parent == tmp_path
            (folder / "inside").mkdir()
            (folder / "inside" / text).write_text(text)
    assert [path.name for path in (target / "inside").iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_whole_folder_that_fails_leaves_the_old(tmp_path: Path) -> None:
    target = tmp_path / "kb"
    with whole_folder(target) as folder:
        (folder / "x").write_text("old")
    with pytest.raises(RuntimeError), whole_folder(target) as folder:
        (folder / "x").write_text("new")
        raise RuntimeError
    assert (target / "x").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path: Path) -> None:
    target = tmp_path / "kb"
    target.mkdir()
    (target / "x").write_text("old")
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "nowhere", target)
    assert (target / "x").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(("there", "at"), [(False, 1), (True, 1), (True, 2)])
def test_of_two_who_write_one_folder_the_last_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, at: int
) -> None:
    """Another process is there first, as this one is about to rename for the `at`-th time."""
    target, rename, left = tmp_path / "adapter", Path.rename, [at]

    def written(text: str) -> None:
        with whole_folder(target) as folder:
            (folder / "x").write_text(text)

    def overtaken(self: Path, place: Path) -> Path:
        left[0] -= 1
        if left[0] == 0:
            monkeypatch.setattr(Path, "rename", rename)
            written("theirs")
        return rename(self, place)

    if there:
        written("old")
    monkeypatch.setattr(Path, "rename", overtaken)
    written("mine")
    assert (target / "x").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [target]


def test_json_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match=r"no file .*x.json; check the path"):
        read_json(tmp_path / "x.json")
    with pytest.raises(NotThere, match="is a folder, a JSON file was expected"):
        read_json(tmp_path)
    for text in (b"{", b"\xff", b"", b"[" * 100_000, b"1" * 5000):
        (tmp_path / "x.json").write_bytes(text)
        with pytest.raises(Damaged, match=r"x.json is not JSON: .*; mend or remove the file"):
            read_json(tmp_path / "x.json")


def test_hashes(tmp_path: Path) -> None:
    write_bytes(tmp_path / "x", b"abc")
    assert sha256_of(tmp_path / "x").startswith("ba7816bf")
    assert short_hash({"a": 1, "b": 2}) == short_hash({"b": 2, "a": 1}) != short_hash({"a": 1})
    assert len(short_hash(tmp_path)) == 16
    assert json.loads(json.dumps(short_hash("x"))) == short_hash("x")


def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_writable(tmp_path / "a" / "b", "--out_dir")
    monkeypatch.chdir(tmp_path)
    check_writable(Path("a/b"), "--out_dir")
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").touch()
    for folder in (Path("file"), tmp_path / "file" / "inside"):
        with pytest.raises(BadInput, match=r"--out_dir is .*, but .*file is a file; name a folder"):
            check_writable(folder, "--out_dir")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(BadInput, match=r"--out_dir is a/b, but .* cannot be written to"):
        check_writable(Path("a/b"), "--out_dir")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_named_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open
    monkeypatch.setattr(Path, "open", lambda self, mode: full(mode))
    with pytest.raises(OSError, match="No space left") as caught:
        write_bytes(tmp_path / "file", b"x" * 100_000)
    assert caught.value.filename == str(tmp_path / "file")
    assert not any(tmp_path.iterdir())
