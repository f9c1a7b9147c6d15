"""No file hides another's module: a command's folder comes first where modules are sought."""

from __future__ import annotations

import sys
from importlib.metadata import packages_distributions
from pathlib import PurePosixPath

DELIBERATE = {"client/client.py", "server/server.py"}  # they put the project's folder first
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "stuff"}


def test_no_file_hides_a_module_of_python_or_of_a_dependency(package_modules):
    theirs = set(sys.stdlib_module_names) | {
        name for name, found in packages_distributions().items() if set(found) != {"hone"}
    }
    hidden = [name for name in package_modules if PurePosixPath(name).stem in theirs]
    assert not hidden, f"rename, the environment has modules of these names: {hidden}"


def test_no_file_hides_a_package_of_ours(package_modules):
    ours = {name.split("/")[0] for name in package_modules}
    hiding = {name for name in package_modules if PurePosixPath(name).stem in ours} - DELIBERATE
    assert not hiding, f"run by path, these hide a package: {sorted(hiding)}"


def test_files_are_named_for_what_they_hold(modules):
    vague = [name for name in modules if VAGUE & set(PurePosixPath(name).stem.split("_"))]
    assert not vague, f"name these for what they hold: {vague}"


def test_test_files_have_names_of_their_own(modules):
    """pytest imports them by bare name, so two of one name would be one module."""
    names = [PurePosixPath(n).name for n in modules if n.startswith("tests/") and "test_" in n]
    twice = sorted({name for name in names if names.count(name) > 1})
    packages = [
        name for name in modules if name.startswith("tests/") and name.endswith("__init__.py")
    ]
    assert not twice and not packages, f"rename {twice}; remove {packages}"
