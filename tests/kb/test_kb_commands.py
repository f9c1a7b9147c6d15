"""python -m kb: what it says of a sound base, and what it finds in one that is not."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from kb_stores import restamp

from hone.errors import BadInput, Damaged, NotThere
from kb import build_kb
from kb.__main__ import main
from kb.manifest import read_manifest
from kb.records import Record


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("commands") / "kb"
    build_kb.main(["--datasets", "generators:12", "generators:8:1", "--save_dir", str(path)])
    return path


@pytest.fixture
def copied(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "kb"))


def _asked(name: str, path: Path) -> None:
    assert main([name, "--knowledge_base_path", str(path)]) == 0


def test_info_says_what_it_holds(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _asked("info", base)
    said = capsys.readouterr().out
    assert "20 records of arc" in said and "12 from generators:12" in said
    assert read_manifest(base).content_hash in said


def test_a_sound_base_is_verified(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _asked("verify", base)
    assert "is sound: 20 records" in capsys.readouterr().out


def test_files_that_do_not_belong_together_are_found(copied: Path) -> None:
    with sqlite3.connect(copied / "records.sqlite") as records:
        records.execute("UPDATE records SET answer = '[[[1]]]' WHERE id = 7")
    records.close()
    restamp(copied, "records.sqlite")
    with pytest.raises(Damaged, match="record 7 has changed"):
        _asked("verify", copied)


def test_records_that_are_not_those_of_the_manifest_are_found(copied: Path) -> None:
    """Their own checksums are right, and yet it is another content."""
    other = Record("generators:12", "arc", "{}", "[[[1]]]")
    with sqlite3.connect(copied / "records.sqlite") as records:
        changed = "UPDATE records SET prompt = ?, answer = ?, checksum = ? WHERE id = 7"
        records.execute(changed, (other.prompt, other.answer, other.checksum(7)))
    records.close()
    restamp(copied, "records.sqlite")
    with pytest.raises(Damaged, match="the records are not those of the manifest"):
        _asked("verify", copied)


@pytest.mark.parametrize("value", [float("nan"), 2.0])
def test_vectors_that_are_no_directions_are_found(copied: Path, value: float) -> None:
    vectors = np.load(copied / "vectors.npy")
    vectors[13] *= value
    np.save(copied / "vectors.npy", vectors)
    restamp(copied, "vectors.npy")
    with pytest.raises(Damaged, match="vector 13 is not of length 1"):
        _asked("verify", copied)


@pytest.mark.parametrize("name", ["info", "verify"])
def test_what_is_no_base_is_told_so(tmp_path: Path, copied: Path, name: str) -> None:
    with pytest.raises(NotThere, match="no knowledge base"):
        _asked(name, tmp_path / "none")
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps({**manifest, "format_version": 7}))
    with pytest.raises(Damaged, match="format version 7"):
        _asked(name, copied)


def test_doors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0 and "verify" in capsys.readouterr().out
    for words in ([], ["open"]):
        with pytest.raises(BadInput, match="there are: build_kb, info, verify, contamination"):
            main(words)
