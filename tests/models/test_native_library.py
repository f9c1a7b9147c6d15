"""The C++ is compiled once, for any instruction set, and its absence is said in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hone.errors import BadInput
from models.multilora import kernels, native_library, plain_kernels

PORTABLE = ("-std=c++17", "-O0", "-fno-math-errno", "-fPIC", "-fopenmp")


@pytest.fixture
def compiler() -> None:
    try:
        native_library._compiler()
    except native_library.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing is loaded or built yet; the folder where what is built would stand."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native_library.library.cache_clear()
    yield tmp_path / "hone" / "kernels"
    native_library.library.cache_clear()


def program(tmp_path: Path, name: str, text: str) -> str:
    path = tmp_path / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def assert_right() -> None:
    """The loaded library does what plain torch does."""
    torch.manual_seed(0)
    x, starts = torch.randn(70, 3, 24), torch.tensor([0, 45, 70], dtype=torch.int32)
    out, lse = kernels.attention(x, x, x, starts, 0.3)
    right = plain_kernels.attention(*3 * [x.double()], starts, 0.3)
    assert torch.allclose(out.double(), right, atol=1e-5)
    into, rights = (torch.empty(3, 70, 3, 24, dtype=d) for d in (torch.float32, torch.float64))
    kernels.attention_backward(out, x, x, x, out, lse, starts, 0.3, *into)
    wide = [t.double() for t in (out, x, x, x)]
    plain_kernels.attention_backward(*wide, starts, 0.3, *rights)
    assert (into - rights).norm() < 1e-5 * rights.norm()
    half = x[:, 0].bfloat16()
    assert torch.equal(
        kernels.rms_norm(half, half[0], 1.0)[0], plain_kernels.rms_norm(half, half[0], 1.0)[0]
    )


@pytest.mark.parametrize("instructions", ["", "-mavx2 -mfma"])
def test_it_is_compiled_once_and_right_without_the_newest_instructions(
    instructions: str, cache: Path, compiler: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if instructions and " avx2 " not in native_library._processor():
        pytest.skip(f"this CPU does not have {instructions}")
    monkeypatch.setattr(native_library, "FLAGS", (*PORTABLE, *instructions.split()))
    native_library.library.cache_clear()
    assert kernels.available()
    assert_right()
    (built,) = cache.iterdir()  # nothing is left beside it
    stamp = built.stat().st_mtime_ns
    native_library.library.cache_clear()
    monkeypatch.setattr(native_library, "_build", None)  # would fail
    assert kernels.available() and built.stat().st_mtime_ns == stamp


def test_a_damaged_library_is_built_anew(
    cache: Path, compiler: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = native_library._run([native_library._compiler(), "--version"])
    monkeypatch.setattr(native_library, "FLAGS", PORTABLE)
    built = cache / f"{native_library._key(version)}.so"
    cache.mkdir(parents=True)
    built.write_bytes(b"\x7fELF and no more")
    native_library.library.cache_clear()
    assert kernels.available() and built.stat().st_size > 10_000


def test_a_cache_that_cannot_be_written_costs_a_build_and_no_more(
    cache: Path, compiler: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(native_library, "FLAGS", PORTABLE)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    native_library.library.cache_clear()
    assert kernels.available() and not cache.exists()
    assert_right()


NO_COMPILER = "no C++ compiler was found; install g++ or name one with CXX"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, NO_COMPILER),
        ("missing", "CXX=missing is not a program; install g++ or name one with CXX"),
        (
            "case $* in *version*) echo 1;; *) echo k.cpp: error: no luck >&2; exit 1;; esac",
            "could not compile the kernels (k.cpp: error: no luck); repair it or set CXX",
        ),
        ("kill -9 $$", "could not compile the kernels (no message); repair it or set CXX"),
    ],
)
def test_without_a_compiler_that_works_one_line_says_so_and_plain_torch_runs(
    script: str | None,
    said: str,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    if script == "missing":
        monkeypatch.setenv("CXX", script)
    elif script:
        program(tmp_path, "g++", script)
    assert not kernels.available()
    assert_right()
    note = capsys.readouterr().err
    assert note.startswith("note: ") and note.count("\n") == 1
    assert said in note and "plain torch" in note


def test_it_can_be_switched_off(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HONE_KERNELS", "off")
    assert not kernels.available()
    assert_right()
    assert not cache.exists() and not capsys.readouterr().err
    monkeypatch.setenv("HONE_KERNELS", "perhaps")
    native_library.library.cache_clear()
    with pytest.raises(BadInput, match="HONE_KERNELS is 'perhaps'; set it to on or off"):
        kernels.available()


LOADED = """
import re, torch
from models.multilora import kernels
x = torch.randn(600, 96)
kernels.swiglu(x, x)
print(len(set(re.findall(r"/\\S*gomp\\S*", open("/proc/self/maps").read()))), kernels.available())
"""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc here")
def test_torch_s_own_threads_are_used(compiler: None) -> None:
    ran = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    assert ran.stdout.split() == ["1", "True"], ran.stderr
