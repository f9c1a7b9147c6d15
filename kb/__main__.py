"""What can be done to a knowledge base, by name: build_kb, info, verify, contamination.

    python -m kb build_kb --datasets generators:2000
    python -m kb info
    python -m kb verify

Each says its flags with `python -m kb NAME --help`; --config FILE reads them as YAML.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # run by path, this folder would be searched for modules
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.errors import BadInput, run_command


def main(argv: Sequence[str] | None = None) -> int:
    from kb.build_kb import main as build
    from kb.contamination import main as contamination
    from kb.info import main as info
    from kb.verify import main as verify

    doors = {"build_kb": build, "info": info, "verify": verify, "contamination": contamination}
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["--help"], ["-h"]):
        print(__doc__)
        return 0
    if not words or words[0] not in doors:
        asked = repr(words[0]) if words else "nothing"
        raise BadInput(f"nothing is named by {asked}; there are: {', '.join(doors)}")
    return doors[words[0]](words[1:])


if __name__ == "__main__":
    run_command(main)
