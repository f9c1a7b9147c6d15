"""Files say what they are, stay short, and do nothing behind the reader's back."""

from __future__ import annotations

import ast
from collections.abc import Iterator

MOST_LINES = 400
MOST_BYTES = 16 * 1024 * 1024
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}


def calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
            yield node


def says(call: ast.Call, word: str, value: bool) -> bool:
    return any(
        k.arg == word and isinstance(k.value, ast.Constant) and k.value.value is value
        for k in call.keywords
    )


def imported(tree: ast.AST) -> set[str]:
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    return {name.split(".")[0] for name in names}


def test_every_file_says_what_it_is(modules):
    silent = [name for name, tree in modules.items() if not ast.get_docstring(tree)]
    assert not silent, f"these open without a docstring: {silent}"


def test_files_can_be_read_in_one_sitting(modules, root):
    lines = {name: len((root / name).read_text().splitlines()) for name in modules}
    long = {name: count for name, count in lines.items() if count > MOST_LINES}
    assert not long, f"more than {MOST_LINES} lines: {long}"


def test_nothing_large_is_kept(files, root):
    large = [str(path.relative_to(root)) for path in files if path.stat().st_size > MOST_BYTES]
    assert not large, f"more than 16 MB: {large}"


def swallowed(tree: ast.AST) -> Iterator[int]:
    """Lines where any error at all is met with silence."""
    broad = {"Exception", "BaseException"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            silent = all(isinstance(part, ast.Pass) for part in node.body)
            if node.type is None or (silent and ast.unparse(node.type) in broad):
                yield node.lineno
    for name in ("suppress", "contextlib.suppress"):
        for call in calls(tree, name):
            if broad & {ast.unparse(arg) for arg in call.args}:
                yield call.lineno


def test_no_error_is_swallowed(modules):
    silent = [f"{name}:{line}" for name, tree in modules.items() for line in swallowed(tree)]
    assert not silent, f"name the error, and do something about it: {silent}"


def test_nothing_runs_code_from_a_file_of_weights(modules):
    unsafe = [name for name, tree in modules.items() if imported(tree) & UNSAFE_MODULES]
    for name, tree in modules.items():
        loads = [call for call in calls(tree, "torch.load") if not says(call, "weights_only", True)]
        loads += [call for call in calls(tree, "np.load") if says(call, "allow_pickle", True)]
        trusting = [
            n
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and says(n, "trust_remote_code", True)
        ]
        unsafe += [f"{name}:{call.lineno}" for call in (*loads, *trusting)]
    assert not unsafe, f"pickle, torch.load without weights_only=True, or trusted code: {unsafe}"
