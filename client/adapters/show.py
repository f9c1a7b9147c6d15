"""Shows one kept adapter: how it was trained, its key, and the adapters most similar to it.

python -m client.adapters show --adapter 0f3a5c...
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # run by path, this folder's files would shadow modules
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from client.adapters.at_hand import StoreSettings, store_at
from client.adapters.list import told
from hone.errors import BadInput, Damaged, NotThere, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from client.adapter_store import AdapterStore
    from client.adapters.entry import Entry

_NEIGHBOURS = 5


@dataclass(frozen=True)
class ShowSettings(StoreSettings):
    """The adapter to show."""

    adapter: str = option("", "id of the adapter, as `list` prints it, or its first letters")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        ShowSettings, argv, env_prefix="HONE_ADAPTERS_SHOW_", description=__doc__ or ""
    )
    store = store_at(settings.local_adapter_manager_dir)
    shown = _shown(store, named(store, settings.adapter))
    if settings.json:
        print(json.dumps(shown))
    else:
        print("".join(f"{name}: {value}\n" for name, value in shown.items()), end="")
    return 0


def named(store: AdapterStore, start: str) -> Entry:
    """The only entry whose id begins with `start`."""
    if not start:
        raise BadInput("no --adapter; give an id that `python -m client.adapters list` prints")
    found = [entry for entry in store.entries() if entry.id.startswith(start)]
    if not found:
        raise NotThere(
            f"the adapter store {store.folder} has no adapter {start}; `list` prints their ids"
        )
    if len(found) > 1:
        raise BadInput(
            f"{len(found)} adapters have an id that begins with {start}; give more of it"
        )
    return found[0]


def _shown(store: AdapterStore, entry: Entry) -> dict[str, Any]:
    from client.adapter_store import Match
    from client.adapters.entry import OWN

    files = store.read(Match(entry.id, 1.0, entry.usage.created, entry.usage.seconds))
    if files is None:
        raise Damaged(
            f"adapter {entry.id} was damaged and has been removed; it is trained again when needed"
        )
    trained = {name: value for name, value in files.extra.items() if name != OWN}
    near = store.nearest(entry.vector, entry.key, most=_NEIGHBOURS + 1, at_least=0.0)
    like = {m.entry_id: round(m.similarity, 4) for m in near if m.entry_id != entry.id}
    shape = {"rank": files.rank, "alpha": files.alpha, "target_modules": files.target_modules}
    return {**told(entry), **shape, **trained, "nearest_others": like}


if __name__ == "__main__":
    run_command(main)
