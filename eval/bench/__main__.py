"""Runs a benchmark by its name: groups of adapters, whole tasks, searches, endurance, reuse.

    python -m eval.bench multilora --quick
    python -m eval.bench solve --tasks 16
    python -m eval.bench search
    python -m eval.bench endurance --minutes 10
    python -m eval.bench cache

`python -m eval.bench NAME --help` lists a benchmark's flags; --config FILE reads them from YAML.
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
    from eval.bench.cache import main as cache
    from eval.bench.endurance import main as endurance
    from eval.bench.multilora import main as multilora
    from eval.bench.search import main as search
    from eval.bench.solve import main as solve

    benchmarks = {
        "multilora": multilora,
        "solve": solve,
        "search": search,
        "endurance": endurance,
        "cache": cache,
    }
    return open_door(benchmarks, argv, __doc__ or "", "no benchmark")


if __name__ == "__main__":
    run_command(main)
