"""The commands of a knowledge base, by name: build_kb, info, verify, contamination, halves.

    python -m kb build_kb --datasets generators:2000
    python -m kb info
    python -m kb verify

`python -m kb NAME --help` lists a command's flags; --config FILE reads them from YAML.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # when run by path, Python searches this folder for modules
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.doors import open_door
from hone.errors import run_command


def main(argv: Sequence[str] | None = None) -> int:
    from kb.build_kb import main as build
    from kb.contamination import main as contamination
    from kb.halves import main as halves
    from kb.info import main as info
    from kb.verify import main as verify

    doors = {
        **{"build_kb": build, "info": info, "verify": verify},
        **{"contamination": contamination, "halves": halves},
    }
    return open_door(doors, argv, __doc__ or "", "no command")


if __name__ == "__main__":
    run_command(main)
