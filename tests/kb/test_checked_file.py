"""Files checked block by block: what was asked for, once, of the file that was opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hone.errors import Damaged
from kb import checked_file, vector_file
from kb.checked_file import CheckedFile, FileStamp
from kb.vector_file import VectorFile, npy_header

BLOCK = 64


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (checked_file, vector_file):
        monkeypatch.setattr(module, "BLOCK", BLOCK)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (path := tmp_path / "file").write_bytes(bytes(range(256)) * 2 + b"the end")
    return path


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_stamp_covers_every_byte(path: Path) -> None:
    stamp = FileStamp.of(path)
    assert stamp.size == 519 and len(stamp.blocks) == 9
    CheckedFile(path, stamp).check()
    for at in (0, 63, 64, 300, 518):
        _flip(path, at)
        with pytest.raises(Damaged, match=f"has changed .*in its block {at // BLOCK} "):
            CheckedFile(path, stamp).check()
        _flip(path, at)


def test_only_what_is_asked_for_is_read_and_only_once(path: Path) -> None:
    file = CheckedFile(path, FileStamp.of(path))
    _flip(path, 130)  # in block 2
    file.check(slice(0, 2))
    file.check(np.array([8, 4, 4]))
    with pytest.raises(Damaged, match="block 2"):
        file.check()
    _flip(path, 130)
    file.check()
    _flip(path, 130)
    file.check()


def test_it_stays_the_file_it_was(path: Path) -> None:
    file = CheckedFile(path, FileStamp.of(path))
    (other := path.with_name("other")).write_bytes(b"x" * 519)
    other.rename(path)
    file.check()


def test_what_is_seen_without_reading(path: Path) -> None:
    stamp = FileStamp.of(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Damaged, match="file has 518 bytes, 519 were written"):
        CheckedFile(path, stamp)
    path.unlink()
    with pytest.raises(Damaged, match="lacks file"):
        CheckedFile(path, stamp)


def test_rows_are_checked_with_both_their_ends(tmp_path: Path) -> None:
    """A row of 40 bytes may begin in one block and end in the next."""
    rows = np.arange(200, dtype=np.float32).reshape(20, 10)
    (path := tmp_path / "v.npy").write_bytes(npy_header((20, 10)) + rows.tobytes())
    stamp, header = FileStamp.of(path), len(npy_header((20, 10)))
    for row in (0, 7, 19):
        vectors = VectorFile(path, stamp, (20, 10))
        _flip(path, header + row * 40 + 39)
        with pytest.raises(Damaged, match="has changed"):
            vectors.rows(np.array([row]))
        with pytest.raises(Damaged, match="has changed"):
            vectors.run(range(20))
        _flip(path, header + row * 40 + 39)
        assert np.array_equal(vectors.rows(np.array([row, 3])), rows[[row, 3]])
        assert np.array_equal(vectors.run(range(5, 20)), rows[5:])
