"""What is free is what the machine has and the process's groups allow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models import free_memory
from models.free_memory import VERSIONS, free_bytes

CPU = torch.device("cpu")
MB = 1 << 20


@pytest.fixture(params=VERSIONS, ids=["v2", "v1"])
def groups(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, free_memory.Version]:
    """A tree of groups of one version; the process is in /outer/inner."""
    version = replace(request.param, root=tmp_path / "groups")
    kind = "0:" if version.limit == "memory.max" else "4:memory"
    own = tmp_path / "own"
    own.write_text(f"5:cpu:/elsewhere\n{kind}:/outer/inner\n")
    monkeypatch.setattr(free_memory, "_OWN", own)
    monkeypatch.setattr(free_memory, "VERSIONS", (version,))
    monkeypatch.setattr(free_memory, "_of_machine", lambda: 900 * MB)
    return version.root, version


def limit(folder: Path, version: free_memory.Version, most: object, used: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / version.limit).write_text(f"{most}\n")
    (folder / version.used).write_text(f"{used}\n")
    active, inactive = version.cached
    (folder / "memory.stat").write_text(f"{active} {10 * MB}\n{inactive} {20 * MB}\nanon 5\n")


def test_no_group_says_anything(groups: tuple[Path, free_memory.Version]) -> None:
    assert free_bytes(CPU) == 900 * MB


@pytest.mark.parametrize("where", [".", "outer", "outer/inner"])
def test_the_tightest_group_counts_and_cached_files_give_way(
    groups: tuple[Path, free_memory.Version], where: str
) -> None:
    root, version = groups
    for folder in (".", "outer", "outer/inner"):
        limit(root / folder, version, 800 * MB if folder != where else 300 * MB, 100 * MB)
    assert free_bytes(CPU) == 230 * MB


def test_a_group_without_a_limit_allows_what_the_machine_has(
    groups: tuple[Path, free_memory.Version],
) -> None:
    root, version = groups
    limit(root, version, "max", 100 * MB)
    assert free_bytes(CPU) == 900 * MB
