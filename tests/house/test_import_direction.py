"""Imports run one way through the house, and the ground floors need little."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

import pytest

STANDS_ON: dict[str, set[str]] = {
    "hone": set(),
    "arc": {"hone"},
    "models": {"arc", "hone"},
    "kb": {"models", "arc", "hone"},
    "server": {"kb", "models", "arc", "hone"},
    "client": {"kb", "models", "arc", "hone"},
    "eval": {"client", "server", "kb", "models", "arc", "hone"},
}
BARE_MACHINE = {"numpy", "torch", "transformers", "safetensors", "yaml", "tqdm"}


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and top-level name of every import, those inside functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module.split(".")[0]


def imports_at_load(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Those that run when the module is loaded: not in functions, not for the type checker."""

    def kept(node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            return
        yield node
        for child in ast.iter_child_nodes(node):
            yield from kept(child)

    for node in kept(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)


def test_imports_run_one_way(package_modules):
    wrong = [
        f"{name}:{line} imports {package}"
        for name, tree in package_modules.items()
        for line, package in imports(tree)
        if package in STANDS_ON and package not in STANDS_ON[room := name.split("/")[0]] | {room}
    ]
    assert not wrong, "see docs/design.md, The house:\n" + "\n".join(wrong)


@pytest.mark.parametrize("room", ["hone", "arc", "models"])
def test_the_ground_floors_load_on_a_bare_gpu_machine(package_modules, room):
    allowed = BARE_MACHINE | STANDS_ON[room] | {room} | sys.stdlib_module_names
    wrong = [
        f"{name}:{line} imports {package} when it is loaded"
        for name, tree in package_modules.items()
        if name.startswith(f"{room}/")
        for line, package in imports_at_load(tree)
        if package not in allowed
    ]
    assert not wrong, "import it inside the function that needs it:\n" + "\n".join(wrong)


def test_arc_needs_no_torch(package_modules, run):
    names = [name for name in package_modules if name.startswith("arc/")]
    dotted = [
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names
    ]
    code = f"import sys, importlib\nfor name in {dotted!r}: importlib.import_module(name)\n"
    code += "print(*sorted({'torch', 'transformers', 'faiss'} & set(sys.modules)))"
    done = run(sys.executable, "-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
    asked = {
        name
        for name in names
        for _, package in imports(package_modules[name])
        if package in ("torch", "transformers")
    }
    assert not asked, "arc has no torch, not even inside functions"
