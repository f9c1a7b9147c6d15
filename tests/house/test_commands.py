"""Every command says what it can do at once, and its flags are on the page of flags."""

from __future__ import annotations

import ast
import resource
import statistics
import subprocess
import sys
from functools import cache
from itertools import pairwise

LIMIT = 0.5  # processor seconds beyond a bare interpreter, so that a busy machine does not matter
HEAVY = {"torch", "transformers", "sentence_transformers", "faiss", "peft", "bitsandbytes"}


def seconds_of(*command: str) -> float:
    """Processor seconds of a command, the middle one of three runs."""
    return statistics.median(_one_run(command) for _ in range(3))


def _one_run(command: tuple[str, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@cache
def bare_start() -> float:
    return seconds_of(sys.executable, "-c", "pass")


def test_help_is_there_at_once(command_file, run):
    done = run(sys.executable, "-X", "importtime", command_file, "--help")
    assert done.returncode == 0 and "--config" in done.stdout, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rsplit("|")[-1].strip().split(".")[0] for line in lines}
    assert not loaded & HEAVY, "import these inside the functions that need them"
    assert seconds_of(sys.executable, str(command_file), "--help") < LIMIT + bare_start()


def test_help_is_there_from_any_folder_and_by_module(command_file, root, tmp_path):
    place = command_file.relative_to(root)
    dotted = ".".join(place.with_suffix("").parts).removesuffix(".__main__")
    commands = (
        [[str(command_file)]]
        if place.parts[0] == "scripts"
        else [["-m", dotted], [str(command_file)]]
    )
    for command in commands:
        said = [sys.executable, *command, "--help"]
        done = subprocess.run(said, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]


def test_an_unknown_flag_is_one_line_and_exit_code_two(command_file, run):
    done = run(sys.executable, command_file, "--no_such_flag")
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
