"""Shows what a store of adapters saved: hits, merges, warm starts, seconds, and what it holds.

python -m client.adapters stats
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # run by path, this folder's files would shadow modules
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from client.adapters.at_hand import StoreSettings, store_at
from hone.errors import run_command
from hone.settings import read_settings

if TYPE_CHECKING:
    from client.adapter_store import AdapterStore


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        StoreSettings, argv, env_prefix="HONE_ADAPTERS_STATS_", description=__doc__ or ""
    )
    told = store_told(store_at(settings.local_adapter_manager_dir))
    if settings.json:
        print(json.dumps(told))
    else:
        print("".join(f"{name}: {value}\n" for name, value in told.items()), end="")
    return 0


def store_told(store: AdapterStore) -> dict[str, Any]:
    entries, stats = store.entries(), asdict(store.stats())
    answered = stats["hits"] + stats["merges"]
    asked = answered + stats["warm_starts"] + stats["misses"] + stats["refused"]
    return {
        "adapters": len(entries),
        "megabytes": round(sum(entry.usage.size for entry in entries) / 1e6, 3),
        "queries": asked,
        "hit_rate": round(answered / asked, 4) if asked else None,
        **stats,
        "seconds_saved": round(stats["seconds_saved"], 3),
    }


if __name__ == "__main__":
    run_command(main)
