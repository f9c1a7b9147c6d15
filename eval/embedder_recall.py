"""How often the task nearest to a task is of its own family: what an embedder is worth.

    python eval/embedder_recall.py --count 4

Draws `--count` tasks from each of our task families and looks up each one's first neighbour.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parent.parent)

from hone.errors import BadInput, run_command
from hone.settings import option, read_settings


@dataclass(frozen=True)
class RecallSettings:
    embedder: str = option("arc", "what embeds the tasks")
    count: int = option(4, "tasks of each family", low=2)
    seed: int = option(0, "seed of a family's first task; its next task has the next seed", low=0)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        RecallSettings, argv, env_prefix="HONE_RECALL_", description=__doc__ or ""
    )
    recall, chance, families = measured(settings)
    print(f"recall@1 {recall:.3f} over {families} families of {settings.count} tasks", end="")
    print(f" (chance {chance:.3f})")
    return 0


def measured(settings: RecallSettings) -> tuple[float, float, int]:
    """Recall, what chance would give, and the number of families."""
    import numpy as np

    from arc.generators import FAMILIES, sample_task
    from models.embedder import open_embedder
    from models.fit_arc_embedder import recall_at_1

    embedder = open_embedder(settings.embedder)
    if embedder.kind != "arc":
        raise BadInput(f"--embedder {settings.embedder} reads {embedder.kind}, not ARC tasks")
    seeds = range(settings.seed, settings.seed + settings.count)
    tasks = [sample_task(found, seed) for _, found in sorted(FAMILIES.items()) for seed in seeds]
    labels = np.repeat(np.arange(len(FAMILIES)), settings.count)
    chance = (settings.count - 1) / (len(tasks) - 1)
    vectors = embedder.embed(tasks).astype(np.float64)
    return recall_at_1(vectors, labels), chance, len(FAMILIES)


if __name__ == "__main__":
    run_command(main)
