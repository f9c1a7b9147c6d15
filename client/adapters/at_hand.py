"""Opens an existing adapter store for the commands that inspect it; never creates one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hone.errors import NotThere
from hone.settings import option

if TYPE_CHECKING:
    from client.adapter_store import AdapterStore


@dataclass(frozen=True)
class StoreSettings:
    """The adapter store."""

    local_adapter_manager_dir: Path = option(Path("runs/adapters"), "where adapters are kept")
    json: bool = option(False, "print JSON")


def store_at(folder: Path) -> AdapterStore:
    """The store in this folder; raises NotThere if there is none."""
    from client.adapter_store import AdapterStore

    if not (folder / "entries").is_dir():
        raise NotThere(
            f"no adapters are kept in {folder}; name a folder that --local_adapter_managing filled"
        )
    return AdapterStore(folder)
