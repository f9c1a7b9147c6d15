"""Removes kept adapters from a store.

python -m client.adapters evict --adapters 0f3a5c... 77b0e1...
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # run by path, this folder's files would shadow modules
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from client.adapters.at_hand import StoreSettings, store_at
from client.adapters.show import named
from hone.errors import BadInput, run_command
from hone.settings import option, read_settings


@dataclass(frozen=True)
class EvictSettings(StoreSettings):
    """The adapters to remove."""

    adapters: tuple[str, ...] = option(
        (), "ids of the adapters to remove, as `list` prints them, or their first letters"
    )
    all: bool = option(False, "remove all adapters")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        EvictSettings, argv, env_prefix="HONE_ADAPTERS_EVICT_", description=__doc__ or ""
    )
    if settings.all == bool(settings.adapters):
        raise BadInput("give either --adapters with ids as printed by `list`, or --all")
    store = store_at(settings.local_adapter_manager_dir)
    # find all before removing the first
    chosen = store.entries() if settings.all else [named(store, one) for one in settings.adapters]
    for entry_id in dict.fromkeys(entry.id for entry in chosen):
        store.evict(entry_id)
    gone = [entry.id for entry in chosen]
    print(json.dumps(gone) if settings.json else f"{len(gone)} adapters removed")
    return 0


if __name__ == "__main__":
    run_command(main)
