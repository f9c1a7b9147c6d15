"""The benchmarks by name: what a group of adapters costs, and whole tasks end to end.

    python -m eval.bench multilora --quick
    python -m eval.bench solve --tasks 16

Each says its flags with `python -m eval.bench NAME --help`; --config FILE reads them as YAML.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # run by path, this folder would be searched for modules
    sys.path[0] = str(Path(__file__).parent.parent.parent)

from hone.errors import BadInput, run_command


def main(argv: Sequence[str] | None = None) -> int:
    from eval.bench.multilora import main as multilora
    from eval.bench.solve import main as solve

    benchmarks = {"multilora": multilora, "solve": solve}
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["--help"], ["-h"]):
        print(__doc__)
        return 0
    if not words or words[0] not in benchmarks:
        asked = repr(words[0]) if words else "nothing"
        raise BadInput(f"no benchmark is named by {asked}; there are: {', '.join(benchmarks)}")
    return benchmarks[words[0]](words[1:])


if __name__ == "__main__":
    run_command(main)
