"""Lists the kept adapters: when each was stored, how often it was used, its size.

python -m client.adapters list --local_adapter_manager_dir runs/adapters
"""

from __future__ import annotations

import json
import sys
import time
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
    from client.adapters.entry import Entry


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        StoreSettings, argv, env_prefix="HONE_ADAPTERS_LIST_", description=__doc__ or ""
    )
    entries = store_at(settings.local_adapter_manager_dir).entries()
    if settings.json:
        print(json.dumps([told(entry) for entry in entries]))
    else:
        print("adapter           stored            uses  seconds       MB  base")
        print("".join(f"{_line(entry)}\n" for entry in entries), end="")
    return 0


def told(entry: Entry) -> dict[str, Any]:
    """The entry as JSON, without its vector."""
    usage = asdict(entry.usage) | {"created": _stored(entry)}
    return {"adapter": usage.pop("entry_id"), **usage, **asdict(entry.key)}


def _stored(entry: Entry) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.usage.created))


def _line(entry: Entry) -> str:
    usage = entry.usage
    return (
        f"{entry.id}  {_stored(entry)}  {usage.uses:4}  {usage.seconds:7.1f}"
        f"  {usage.size / 1e6:7.2f}  {entry.key.base}"
    )


if __name__ == "__main__":
    run_command(main)
