"""Commands that documents and docstrings show are ones that a user can type."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hone.errors import BadInput
from hone.settings import read_settings

ROOT = Path(__file__).resolve().parent.parent.parent
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4}(python .*)$", re.MULTILINE)
SHOWN = re.compile(r"^(?: {4})?(python .*)$", re.MULTILINE)
TREE = re.compile(r"^## The tree\n+```\n(.*?)^```", re.MULTILINE | re.DOTALL)
FOLDERS = ("hone", "arc", "models", "kb", "server", "client", "eval")


class Shown(NamedTuple):
    """A command line as a document shows it."""

    place: str
    words: list[str]

    @property
    def program(self) -> str:
        return Path(self.words[0]).name


def joined(text: str) -> list[str]:
    """Lines without comments, those that end in a backslash made one with the next."""
    return re.sub(r"\\+\n\s*", " ", text).splitlines()


def in_line(place: str, line: str) -> Iterator[Shown]:
    words = shlex.split(line, comments=True)
    while words:
        end = words.index("&&") if "&&" in words else len(words)
        own = words[:end]
        while own and re.fullmatch(r"[A-Z_]+=.*", own[0]):
            own = own[1:]
        if own:
            yield Shown(place, own)
        words = words[end + 1 :]


def in_page(page: Path) -> Iterator[Shown]:
    text = page.read_text()
    indented = INDENTED.findall("\n".join(joined(text)))
    for line in [*indented, *(line for block in BLOCK.findall(text) for line in joined(block))]:
        yield from in_line(page.relative_to(ROOT).as_posix(), line)


def in_docstring(file: Path) -> Iterator[Shown]:
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    for line in SHOWN.findall("\n".join(joined(text))):
        if ":" not in line.partition(" --")[0]:  # `python -m server: the same command as ...`
            yield from in_line(file.relative_to(ROOT).as_posix(), line)


@pytest.fixture
def shown(files, write_flags) -> list[Shown]:
    pages = [command for page in files if page.suffix == ".md" for command in in_page(page)]
    return pages + [one for file in write_flags.command_files() for one in in_docstring(file)]


def file_of(words: list[str]) -> Path | None:
    """The project's file that `python WORDS` runs; None where it is another's module."""
    if words[:1] != ["-m"]:
        return ROOT / words[0]
    inside = ROOT / words[1].replace(".", "/")
    if words[1].split(".")[0] not in FOLDERS:
        return None
    return inside / "__main__.py" if inside.is_dir() else inside.with_suffix(".py")


def behind_door(file: Path, given: list[str]) -> tuple[Path, list[str]]:
    """The command that a door opens by name: `python -m eval.bench solve --tasks 2`."""
    if file.name == "__main__.py" and given and given[0].isidentifier():
        return file.with_name(f"{given[0]}.py"), given[1:]
    return file, given


def settings_of(file: Path, known: dict[Path, type]) -> type:
    """Those of the command, or of the one that it is another door to."""
    if file in known:
        return known[file]
    others = [known[other] for other in known if other.stem == file.parent.name]
    assert others, f"{file} reads no settings"
    return others[0]


def fault(command: Shown, known: dict[Path, type]) -> str:
    words = command.words[1:]
    file = file_of(words)
    if file is None:
        return ""
    if not file.is_file():
        return f"no file {file.relative_to(ROOT)}"
    file, given = behind_door(file, words[2:] if words[0] == "-m" else words[1:])
    try:
        read_settings(settings_of(file, known), given, env_prefix="HONE_X_", environ={})
    except BadInput as error:
        return str(error)
    return ""


def test_documents_show_commands_that_exist_with_flags_that_they_have(shown, write_flags):
    python = [command for command in shown if command.program == "python"]
    assert len(python) > 20
    known = {command.file: command.settings for command in write_flags.commands()}
    faults = [
        f"{command.place}: {shlex.join(command.words)}: {said}"
        for command in python
        if (said := fault(command, known))
    ]
    assert not faults, "\n".join(faults)


def test_documents_show_scripts_that_exist(shown, root):
    scripts = [c.words[1] for c in shown if c.program == "bash" and not c.words[1].startswith("-")]
    scripts += [c.words[0] for c in shown if c.words[0].startswith("scripts/")]
    assert {"install.sh", "scripts/run_qwen_multi_lora.sh", "scripts/test"} <= set(scripts)
    assert not [name for name in scripts if not (root / name).is_file()]


def test_documents_show_options_that_the_installer_has(shown, root):
    known = set(re.findall(r"--[a-z]+", (root / "install.sh").read_text()))
    used = {
        word
        for command in shown
        if command.words[:2] == ["bash", "install.sh"]
        for word in command.words[2:]
        if word.startswith("--") and "demo" not in command.words
    }
    assert used <= known


def test_the_program_for_downloads_comes_with_the_installation(shown, root):
    import importlib.metadata

    programs = {c.program for c in shown} - {"python", "bash", "source", "git", "cp", "check"}
    offered = {point.name for point in importlib.metadata.entry_points(group="console_scripts")}
    ours = {"lint", "test"}
    assert programs <= offered | ours, "name programs that the installation brings"


def test_python_in_the_readme_imports_what_there_is(root):
    """Its first block is the way of a query; names that it imports exist, and it parses."""
    import importlib

    blocks = PYTHON_BLOCK.findall((root / "README.md").read_text())
    assert blocks
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                missing = [a.name for a in node.names if not hasattr(module, a.name)]
                assert not missing, f"{node.module} has no {missing}"


def test_the_readme_s_tree_names_every_module(files, root):
    found = TREE.search((root / "README.md").read_text())
    assert found, "README.md ends in a tree"
    told, places = set(), [""]
    for line in found[1].splitlines():
        depth, first = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        if first.endswith("/"):
            places[depth:] = [first]
        elif places[0].rstrip("/") in FOLDERS:
            told |= {"".join([*places[:depth], name]) for name in re.findall(r"[\w.]+\.py", line)}
    there = {
        path.relative_to(root).as_posix()
        for path in files
        if path.suffix == ".py" and path.relative_to(root).parts[0] in FOLDERS
    }
    doors = {"server/__main__.py", "client/__main__.py"}
    there = {name for name in there if not name.endswith("__init__.py")} - doors
    assert told == there, f"unnamed: {sorted(there - told)}; gone: {sorted(told - there)}"
