"""The door refuses what it cannot do before it touches anything. (Installing is what CI does.)"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest


@pytest.fixture
def install(run, tmp_path):
    """install.sh with an environment folder of the test's own."""
    return lambda *words: run("bash", "install.sh", "--venv", tmp_path / "env", *words)


@pytest.fixture
def old_python(tmp_path) -> Path:
    old = tmp_path / "old python"
    old.write_text("#!/bin/sh\necho 3.9.18\n")
    old.chmod(0o755)
    return old


def test_help_tells_doors_and_options(install):
    done = install("--help")
    words = ("demo", "test", "--cpu", "--gpu", "--extras", "--python", "--venv")
    assert done.returncode == 0 and all(word in done.stdout for word in words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dmeo",), "dmeo"),
        (("--gpus",), "--gpus"),
        (("--cpu", "--gpu"), "exclude each other"),
        (("--extras",), "needs a value"),
        (("--python", "no-such-python"), "not a Python that runs"),
    ],
)
def test_unusable_arguments_are_one_line(install, tmp_path, words, said):
    done = install(*words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    assert not (tmp_path / "env").exists()


def test_an_old_python_is_refused_with_reason_and_remedy(install, old_python):
    done = install("--python", old_python)
    assert done.returncode == 2
    assert "is Python 3.9.18" in done.stderr and "3.11 to 3.13" in done.stderr
    assert "--python" in done.stderr


@pytest.mark.skipif(shutil.which("uv") is not None, reason="uv makes environments without venv")
def test_a_python_without_venv_is_refused_with_the_remedy(install, tmp_path):
    bare = tmp_path / "debian-python"
    bare.write_text(
        f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec "{sys.executable}" "$@"\n'
    )
    bare.chmod(0o755)
    done = install("--python", bare)
    assert done.returncode == 2 and "apt-get install python3-venv" in done.stderr


def test_a_folder_that_is_no_environment_is_left_alone(install, tmp_path):
    kept = tmp_path / "env" / "thesis.txt"
    kept.parent.mkdir()
    kept.write_text("three years of work")
    done = install("--python", sys.executable)
    assert done.returncode == 2 and "choose another --venv" in done.stderr
    assert kept.read_text() == "three years of work"


def test_ci_opens_the_door_that_users_open(root):
    lines = (root / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if not line.startswith(("#", "set ", "cd "))] == [
        "bash install.sh test"
    ]
