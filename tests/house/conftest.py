"""What the house's rules are read from: the project's files and its commands."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("hone", "arc", "models", "kb", "server", "client", "eval")


@cache
def project_files() -> tuple[Path, ...]:
    """Files under version control and those about to be; without git, all that are not hidden."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        found = [path for path in ROOT.rglob("*") if not _hidden(path)]
    else:
        found = [ROOT / name for name in names.decode().split("\0") if name]
    return tuple(sorted(path for path in found if path.is_file()))


def _hidden(path: Path) -> bool:
    inside = path.relative_to(ROOT).parts
    return any(part.startswith(".") or part == "__pycache__" for part in inside if part != ".ci")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def flags_writer() -> ModuleType:
    """scripts/write_flags.py, which knows the commands."""
    spec = importlib.util.spec_from_file_location("write_flags", ROOT / "scripts/write_flags.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["write_flags"] = module
    spec.loader.exec_module(module)
    return module


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for a `command_file` runs once for each command."""
    if "command_file" in metafunc.fixturenames:
        files = flags_writer().command_files()
        names = [file.relative_to(ROOT).as_posix() for file in files]
        metafunc.parametrize("command_file", files, ids=names)


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def files() -> tuple[Path, ...]:
    return project_files()


@pytest.fixture
def modules() -> dict[str, ast.Module]:
    """The syntax tree of every Python file, by its path from the project's folder."""
    paths = [path for path in project_files() if path.suffix == ".py"]
    return {path.relative_to(ROOT).as_posix(): parsed(path) for path in paths}


@pytest.fixture
def package_modules(modules: dict[str, ast.Module]) -> dict[str, ast.Module]:
    return {name: tree for name, tree in modules.items() if name.split("/")[0] in PACKAGES}


@pytest.fixture
def write_flags() -> ModuleType:
    return flags_writer()


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run() -> Run:
    """Run a program in the project's folder and give back what it said."""

    def run_it(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(word) for word in command], cwd=ROOT, capture_output=True, text=True
        )

    return run_it
