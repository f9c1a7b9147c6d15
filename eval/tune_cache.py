"""Tune the adapter store for a stream of queries: size, threshold and strategy.

    python eval/tune_cache.py --stream questions.jsonl --knowledge_base_path maths
    python eval/tune_cache.py --stream runs/client --measure false

A stream is a file of texts, a folder of ARC tasks, or the client's folder of traces. Every query's
adapter is trained once; then the decisions of a store are replayed for every setting, without
training. Quality is the share that reuse keeps of what training each query for itself gains in the
losses of answers; it needs answers, in the file or in the tasks. With --measure false nothing is
trained, the base is not loaded, and the mean similarity of queries replaces quality.

Prints the settings that no other beats in both saving and quality; among those that keep enough,
the one that saves most is recommended. A run that is started again resumes. Writes best.yaml (for
`--config` of the other commands), table.csv, cache.svg and results.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.policies import STRATEGIES
from client.settings import Settings
from hone.errors import BadInput, run_command
from hone.files import check_writable, write_json, write_text
from hone.settings import as_plain, option, read_settings

if TYPE_CHECKING:
    from eval.cache_sweep import Sweep


@dataclass(frozen=True)
class TuneCacheSettings(Settings):
    stream: Path | None = option(None, "JSON lines of texts, ARC tasks, or the client's traces")
    queries: int = option(0, "number of queries, from the first of the stream; 0: all", low=0)
    sessions: bool = option(
        False,
        "order queries in sessions, not as in the file: some similar ones, then another topic",
    )
    sizes: tuple[int, ...] = option((1, 2, 4, 8, 16, 32), "numbers of adapters to try", low=1)
    thresholds: tuple[float, ...] = option(
        (0.4, 0.6, 0.7, 0.8, 0.9, 0.95), "similarities to try", low=0, high=1
    )
    strategies: tuple[str, ...] = option(STRATEGIES, "strategies to try", choices=STRATEGIES)
    measure: bool = option(True, "train every query's adapter once, and measure what reuse loses")
    keep_quality: float = option(
        0.95, "least share of training's gain that a recommended setting must keep", low=0, high=1
    )
    out_dir: Path = option(
        Path("runs/tune_cache"), "folder for tables, picture, best.yaml, adapters and losses"
    )


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        TuneCacheSettings, argv, env_prefix="HONE_CACHE_TUNING_", description=__doc__ or ""
    )
    print(json.dumps({"tune_cache": tune(settings)}))
    return 0


def tune(settings: TuneCacheSettings) -> dict[str, Any]:
    """Prints the table, writes the files, and returns the recommended setting."""
    from eval.cache_stream import read_stream
    from eval.cache_sweep import in_sessions, markdown, replayed_alone, replayed_measured

    if settings.stream is None:
        raise BadInput("no --stream is given; name a file of queries, or a folder of traces")
    check_writable(settings.out_dir, "--out_dir")
    stream = read_stream(settings.stream, settings.queries)
    if settings.sessions:
        stream = in_sessions(settings, stream)
    sweep = (replayed_measured if settings.measure else replayed_alone)(settings, stream)
    print(markdown(sweep))
    told = {
        "queries": len(stream),
        "measured": settings.measure,
        "saved": sweep.saved.lower(),
        "enough_quality": sweep.best.quality >= settings.keep_quality,
        "best": asdict(sweep.best),
    }
    _write(settings, sweep, told)
    return told


def _write(settings: TuneCacheSettings, sweep: Sweep, told: dict[str, Any]) -> None:
    from eval.cache_picture import picture
    from eval.cache_sweep import as_csv

    out, best = settings.out_dir, sweep.best
    lines = [
        f"# Tuned on {told['queries']} queries: {best}.",
        "local_adapter_managing: true",
        f"local_adapter_manager_size: {best.size}",
        f"local_adapter_manager_threshold: {best.threshold}",
        f"local_adapter_manager_strategy: {best.strategy}",
    ]
    write_text(out / "best.yaml", "\n".join(lines) + "\n")
    write_text(out / "table.csv", as_csv(sweep.rows))
    write_text(out / "cache.svg", picture(sweep))
    write_json(
        out / "results.json",
        {**told, "swept": [asdict(one) for one in sweep.rows], "settings": as_plain(settings)},
    )


if __name__ == "__main__":
    run_command(main)
