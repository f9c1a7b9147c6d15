"""Write docs/flags.md from the commands' settings, or check that it is up to date.

    python scripts/write_flags.py
    python scripts/write_flags.py --check

A command is a file that calls `run_command` at module level; its flags are the fields of the
dataclass that it passes to `read_settings`.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import sys
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("arc", "models", "kb", "server", "client", "eval", "scripts")
PAGE = ROOT / "docs" / "flags.md"

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from hone.errors import BadInput, run_command  # noqa: E402
from hone.files import write_page  # noqa: E402
from hone.settings import (  # noqa: E402
    PLATFORMS,
    PRESETS,
    as_plain,
    grouped_fields,
    option,
    read_settings,
)

PREAMBLE = """\
# Flags

Written by `python scripts/write_flags.py`; a test checks it against the code.

A setting is taken from the first of these that gives it: the command line; the environment (the
prefix below, then the name in capitals); `--platform`, for commands that have it; YAML
(`--config FILE`, with settings by name or in the sections of a strategy file); a preset, for
commands with `--preset`; the default below. A switch stands alone (`--ttt`) or takes a word
(`--ttt false`). `--help` of each command prints the same.
"""


@dataclass(frozen=True)
class FlagsSettings:
    check: bool = option(False, "change nothing; fail if the page is stale")


@dataclass(frozen=True)
class Command:
    """A runnable file, the settings it reads, and the prefix of its environment variables."""

    file: Path
    settings: type[Any]
    env_prefix: str
    summary: str

    @property
    def spelled(self) -> str:
        return spelled(self.file)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        FlagsSettings, argv, env_prefix="HONE_FLAGS_", description=__doc__ or ""
    )
    write_page(PAGE, flags_page(), "python scripts/write_flags.py", check=settings.check)
    return 0


def command_files() -> list[Path]:
    """Every file of the project that can be run as a command."""
    files = (file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py")))
    return [file for file in files if _runs(ast.parse(file.read_text()))]


def commands() -> list[Command]:
    """Every command that calls `read_settings` itself, not those that share another's `main`."""
    return [found for file in command_files() if (found := _command(file))]


def spelled(file: Path) -> str:
    """The command by which a user runs a file."""
    place = file.relative_to(ROOT)
    if file.name == "__main__.py":
        return f"python -m {'.'.join(place.parent.parts)}"
    return f"python {place.as_posix()}"


def flags_page() -> str:
    named = [_named("Presets", "preset", PRESETS), _named("Platforms", "platform", PLATFORMS)]
    return "\n".join([PREAMBLE, *(_section(command) for command in commands()), *named])


def _named(title: str, what: str, folder: Path) -> str:
    """A section that lists a folder's files, each with the comment on its first line."""
    words = {file.stem: file.read_text().splitlines()[0] for file in folder.glob("*.yaml")}
    rows = [f"| `{name}` | {said.lstrip('# ')} |" for name, said in sorted(words.items())]
    intro = [
        f"Files in `{folder.relative_to(PRESETS.parent)}/`, settings by name.",
        "",
        f"| {what} | what it is for |",
        "|---|---|",
    ]
    return "\n".join([f"## {title}", "", *intro, *rows, ""])


def _runs(module: ast.Module) -> bool:
    outside = (node for top in module.body for node in _walk_outside_functions(top))
    return any(_called(node) == "run_command" for node in outside)


def _walk_outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _walk_outside_functions(child)


def _called(node: ast.AST) -> str:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id
    return ""


def _command(file: Path) -> Command | None:
    tree = ast.parse(file.read_text())
    calls = [n for n in ast.walk(tree) if _called(n) == "read_settings"]
    if not calls:
        return None
    module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    call = typing.cast(ast.Call, calls[0])
    words = {word.arg: word.value for word in call.keywords}
    prefix = _value(words["env_prefix"], module)
    summary = (ast.get_docstring(tree) or "").partition("\n\n")[0]
    return Command(file, _value(call.args[0], module), prefix, " ".join(summary.split()))


def _value(node: ast.expr, module: Any) -> Any:
    """The value of a literal or of a name defined at the top of the module."""
    if isinstance(node, ast.Constant):
        return node.value
    name = ast.unparse(node)
    if not hasattr(module, name):
        raise BadInput(f"{module.__name__} hands {name} to read_settings; import it at the top")
    return getattr(module, name)


def _section(command: Command) -> str:
    lines = [
        f"## {command.spelled}",
        "",
        command.summary,
        f"Environment: `{command.env_prefix}`.",
        "",
        "| flag | default | takes | what it does |",
        "|---|---|---|---|",
        *(_row(command.settings, f) for _, own in grouped_fields(command.settings) for f in own),
        "",
    ]
    return "\n".join(lines)


def _row(settings: type[Any], field: dataclasses.Field[Any]) -> str:
    flags = ", ".join(f"`--{name}`" for name in (field.name, *field.metadata["also"]))
    default = default_of(settings, field.name)
    cells = (
        flags,
        f"`{default}`" if default else "",
        _takes(settings, field),
        field.metadata["help"],
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def default_of(settings: type[Any], name: str) -> str:
    """The default as a user would type it; paths inside the project are relative to its root."""
    meta = settings.__dataclass_fields__[name].metadata
    value = meta["shown"] or as_plain(settings())[name]
    if value is None or value is False:
        return ""
    words = value if isinstance(value, list) else [value]
    return " ".join(_word(word) for word in words)


def _word(value: Any) -> str:
    return "true" if value is True else str(value).removeprefix(f"{ROOT}/")


def _takes(settings: type[Any], field: dataclasses.Field[Any]) -> str:
    meta = field.metadata
    if meta["choices"]:
        return ", ".join(meta["choices"])
    kind = typing.get_type_hints(settings)[field.name]
    several = typing.get_origin(kind) is tuple
    kinds = [part for part in typing.get_args(kind) if part not in (type(None), Ellipsis)]
    words = {bool: "switch", int: "whole number", float: "number", str: "word", Path: "path"}
    word = words[kinds[0] if kinds else kind]
    limits = [f"at least {meta['low']}"] if meta["low"] is not None else []
    limits += [f"more than {meta['above']}"] if meta["above"] is not None else []
    limits += [f"at most {meta['high']}"] if meta["high"] is not None else []
    instead = [f"or {word}" for part in kinds[1:] for word in typing.get_args(part)]
    return ", ".join([f"{word}s" if several else word, *limits, *instead])


if __name__ == "__main__":
    run_command(main)
