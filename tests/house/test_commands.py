"""Every command says what it can do at once, and its flags are on the page of flags."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from functools import cache
from itertools import pairwise

import pytest

from hone.errors import BadInput
from hone.settings import PRESETS, read_settings

LIMIT = 1.0  # processor seconds beyond a bare interpreter; numpy alone takes up to half of it
HEAVY = {"torch", "transformers", "sentence_transformers", "faiss", "peft", "bitsandbytes"}


def seconds_of(*command: str) -> float:
    """Processor seconds of a command, the least of three runs: what else runs can only add."""
    return min(_one_run(command) for _ in range(3))


def _one_run(command: tuple[str, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@cache
def bare_start() -> float:
    return seconds_of(sys.executable, "-c", "pass")


@pytest.fixture
def ways(command_file, root) -> list[tuple[str, ...]]:
    """How the command is started: by path, by module, or both."""
    place = command_file.relative_to(root)
    by_path = (sys.executable, str(command_file))
    if place.parts[0] == "scripts":
        return [by_path]
    by_module = (sys.executable, "-m", ".".join(place.with_suffix("").parts))
    return [by_module] if place.name == "__main__.py" else [by_path, by_module]


def test_help_is_there_at_once(ways, run):
    python, *way = ways[0]
    done = run(python, "-X", "importtime", *way, "--help")
    told = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 0 and "--config" in done.stdout, "\n".join(told)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rsplit("|")[-1].strip().split(".")[0] for line in lines}
    assert not loaded & HEAVY, "import these inside the functions that need them"
    assert seconds_of(python, *way, "--help") < LIMIT + bare_start()


def test_help_is_there_from_any_folder(ways, tmp_path):
    for way in ways:
        done = subprocess.run([*way, "--help"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]


def test_by_path_a_command_takes_the_project_that_it_stands_in(command_file):
    """Not its own folder, whose files would hide others, nor whatever is installed."""
    by_module_alone = command_file.name == "__main__.py"
    assert by_module_alone or "    sys.path" in command_file.read_text()


def test_an_unknown_flag_is_one_line_and_exit_code_two(ways, run):
    done = run(*ways[0], "--no_such_flag")
    assert done.returncode == 2, done.stderr[-2000:]
    assert done.stderr.count("\n") == 1 and "no_such_flag" in done.stderr


def test_commands_read_their_settings_where_they_can_be_found(command_file, write_flags):
    """The command reads settings, or it is another door to the `main` of one that does."""
    own = {command.file for command in write_flags.commands()}
    tree = ast.parse(command_file.read_text())
    borrowed = {
        f"{node.module.replace('.', '/')}.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        if any(alias.name == "main" for alias in node.names)
    }
    doors = {file.relative_to(write_flags.ROOT).as_posix() for file in own}
    assert command_file in own or borrowed & doors


def test_no_two_commands_share_their_environment_variables(write_flags):
    prefixes = sorted(command.env_prefix for command in write_flags.commands())
    clash = [(one, other) for one, other in pairwise(prefixes) if other.startswith(one)]
    assert not clash, "a variable of the longer prefix is an unknown one of the shorter"


def test_the_page_of_flags_is_true(run):
    done = run(sys.executable, "scripts/write_flags.py", "--check")
    assert done.returncode == 0, done.stderr


def test_the_page_of_families_is_true(run):
    done = run(sys.executable, "scripts/write_generators.py", "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("preset", sorted(file.stem for file in PRESETS.glob("*.yaml")))
def test_every_preset_is_for_some_command(write_flags, preset):
    """Its names and values are ones that a command with `--preset` takes."""
    takers = [c for c in write_flags.commands() if "preset" in c.settings.__dataclass_fields__]
    if not takers:
        pytest.skip("no command takes a preset yet")
    faults = [fault for taker in takers if (fault := _refusal(taker, preset))]
    assert len(faults) < len(takers), faults


def _refusal(command, preset: str) -> str:
    try:
        read_settings(
            command.settings, ["--preset", preset], env_prefix=command.env_prefix, environ={}
        )
    except BadInput as error:
        return str(error)
    return ""
