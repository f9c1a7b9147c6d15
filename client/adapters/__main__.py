"""Inspects a store of kept adapters; the commands are list, show, evict and stats.

    python -m client.adapters list
    python -m client.adapters show --adapter 0f3a5c...
    python -m client.adapters evict --adapters 0f3a5c...
    python -m client.adapters stats

`python -m client.adapters NAME --help` lists a command's flags; --config FILE reads them from YAML.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # run by path, this folder's files would shadow modules
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from hone.doors import open_door
from hone.errors import run_command


def main(argv: Sequence[str] | None = None) -> int:
    from client.adapters.evict import main as evict
    from client.adapters.list import main as list_all
    from client.adapters.show import main as show
    from client.adapters.stats import main as stats

    doors = {"list": list_all, "show": show, "evict": evict, "stats": stats}
    return open_door(doors, argv, __doc__ or "", "no command")


if __name__ == "__main__":
    run_command(main)
